// A client that openapi-typescript and openapi-fetch make. tests/interfaces/test_clients.py compiles and runs it.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

declare const process: { argv: string[] };

type Customer = components["schemas"]["Customer"];
const [url, token] = process.argv.slice(2);
const api = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });
const at = "/api/v1/customers/{customerId}";

function customer(shown: Customer | components["schemas"]["PendingCommand"] | undefined): Customer {
  if (shown === undefined || !("email" in shown)) throw new Error("no customer came");
  return shown;
}

// Only what is mandatory: the compiler refuses this where an optional field has become mandatory.
const made = await api.POST("/api/v1/customers", {
  body: { name: "Ann Lee", email: "ann@example.com" },
  params: { header: { "Idempotency-Key": "typescript-1", "X-Correlation-ID": "typescript" } },
});
const path = { customerId: customer(made.data).id };
const shown = await api.GET(at, { params: { path } });
const tag = shown.response.headers.get("ETag") ?? "";
const unchanged = await api.GET(at, { params: { path, header: { "If-None-Match": tag } } });
const update = { name: "Ann B. Lee", email: "ann@example.com" };
const changed = await api.PUT(at, { params: { path, header: { "If-Match": tag } }, body: update });
const refused = await api.PUT(at, { params: { path, header: { "If-Match": tag } }, body: { ...update, name: "Eve" } });
const address = await api.POST(`${at}/addresses`, {
  params: { path },
  body: { street: "1 Main St", city: "Arlington", zipCode: "22201", country: "US" },
});
await api.POST(`${at}/reward-points/adjustments`, {
  params: { path },
  body: { points: 50, reason: "late parcel", adjustmentId: "a-1" },
});
const redeemed = await api.POST(`${at}/reward-points/redemptions`, {
  params: { path },
  body: { points: 20, reason: "voucher", redemptionId: "r-1" },
});
const found = await api.GET("/api/v1/customers", { params: { query: { email: "ANN@example.com" } } });
const preferences = customer(found.data).preferences;
const same = await api.PUT(`${at}/preferences`, { params: { path }, body: { language: preferences.language } });
const erased = await api.DELETE(at, { params: { path } });
const gone = await api.GET(at, { params: { path } });

console.log(JSON.stringify({
  statuses: [made, shown, unchanged, changed, refused, address, redeemed, found, same, erased, gone]
    .map((each) => each.response.status),
  correlation: made.response.headers.get("X-Correlation-ID"),
  location: made.response.headers.get("Location") === `/api/v1/customers/${path.customerId}`,
  tags: [made, shown, unchanged, changed, redeemed, erased].map((each) => each.response.headers.get("ETag")),
  name: customer(changed.data).name,
  code: refused.error?.code,
  balance: redeemed.data && "balance" in redeemed.data ? redeemed.data.balance : null,
  email: customer(found.data).email,
  gone: gone.error?.code,
}));
