"""A client that openapi-python-client makes from /openapi.json. tests/interfaces/test_clients.py generates and runs it."""
# mypy: ignore-errors
# The generated package is not there when types are checked.

import json
import sys

from generated.api.customers import (
    add_delivery_address,
    adjust_points,
    erase_customer,
    find_customer,
    get_customer,
    redeem_points,
    register_customer,
    update_preferences,
    update_profile,
)
from generated.client import AuthenticatedClient
from generated.models import (
    AddDeliveryAddressRequest,
    AdjustPointsRequest,
    RedeemPointsRequest,
    RegisterCustomerRequest,
    UpdatePreferencesRequest,
    UpdateProfileRequest,
)

url, token = sys.argv[1:]
api = AuthenticatedClient(base_url=url, token=token)
ann = RegisterCustomerRequest(name="Ann Lee", email="ann@example.com")
made = register_customer.sync_detailed(
    client=api, body=ann, idempotency_key="python-1", x_correlation_id="python"
)
customer_id = made.parsed.id
shown = get_customer.sync_detailed(customer_id, client=api)
tag = shown.headers["ETag"]
unchanged = get_customer.sync_detailed(customer_id, client=api, if_none_match=tag)
update = UpdateProfileRequest(name="Ann B. Lee", email="ann@example.com")
changed = update_profile.sync_detailed(customer_id, client=api, body=update, if_match=tag)
eve = UpdateProfileRequest(name="Eve", email="ann@example.com")
refused = update_profile.sync_detailed(customer_id, client=api, body=eve, if_match=tag)
home = AddDeliveryAddressRequest(street="1 Main St", city="Arlington", zip_code="22201", country="US")
address = add_delivery_address.sync_detailed(customer_id, client=api, body=home)
added = AdjustPointsRequest(points=50, reason="late parcel", adjustment_id="a-1")
adjust_points.sync_detailed(customer_id, client=api, body=added)
voucher = RedeemPointsRequest(points=20, reason="voucher", redemption_id="r-1")
redeemed = redeem_points.sync_detailed(customer_id, client=api, body=voucher)
found = find_customer.sync_detailed(client=api, email="ANN@example.com")
language = UpdatePreferencesRequest(language=found.parsed.preferences.language)
same = update_preferences.sync_detailed(customer_id, client=api, body=language)
erased = erase_customer.sync_detailed(customer_id, client=api)
gone = get_customer.sync_detailed(customer_id, client=api)

steps = (made, shown, unchanged, changed, refused, address, redeemed, found, same, erased, gone)
tagged = (made, shown, unchanged, changed, redeemed, erased)
told = {
    "statuses": [int(each.status_code) for each in steps],
    "correlation": made.headers["X-Correlation-ID"],
    "location": made.headers["Location"] == f"/api/v1/customers/{customer_id}",
    "tags": [each.headers["ETag"] for each in tagged],
    "name": changed.parsed.name,
    "code": refused.parsed.code,
    "balance": redeemed.parsed.balance,
    "email": found.parsed.email,
    "gone": gone.parsed.code,
}
sys.stdout.write(json.dumps(told))
