"""The desk: pages for support staff and operators under /desk (contract, section 8).

Rules:
- A page gets its data from this worker's own API, in one process (api.desk.own_api). So scopes, errors and forwarding are
  those of the API. A customer of another worker is shown all the same.
- A form becomes the same request that a program would send, with an Idempotency-Key that stands in the form.
- Pages are whole without JavaScript. A script only adds what is live.
- Nothing comes from another host, and no script or style stands in a page.
"""
