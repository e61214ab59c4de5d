"""The search: by customerId, or by exact email. The form is posted, so that no email stands in an address."""

from aiohttp import web

from api.auth import Access
from api.desk.customer import path_of
from api.desk.visit import Visit, see_other
from api.problems import Problem
from api.views import CustomerView
from worker.wire.ids import fault_of_id

_NOT_FOUND = frozenset({400, 404, 410})


async def find(visit: Visit) -> web.Response:
    """303 to the customer's page; 404 with a page that says so. An email needs customers:admin, as in the API."""
    text = (await visit.form()).get("q", [""])[0].strip()
    if "@" in text and visit.may(Access.ADMIN):
        answer = await visit.ask("findCustomer", {}, {"email": text})
        if answer.status not in _NOT_FOUND:
            return see_other(path_of(answer.read(CustomerView).id))
    if fault_of_id(text) is None:  # an id may hold an @, too
        answer = await visit.ask("getCustomer", {"customerId": text})
        if answer.status == 410:
            raise answer.problem()
        if answer.status not in _NOT_FOUND:
            return see_other(path_of(answer.read(CustomerView).id))
    raise _nobody(visit)


def _nobody(visit: Visit) -> Problem:
    by = "id or exact email" if visit.may(Access.ADMIN) else "id"
    return Problem("NOT_FOUND", f"No customer has this {by}.")
