"use strict";
const make = (tag, text, name) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
};
const nameOf = (ref) => ref.split("/").pop();

function typeOf(schema) {
  if (!schema) return document.createTextNode("");
  if (schema.$ref) {
    const link = make("a", nameOf(schema.$ref));
    link.href = "#schema-" + nameOf(schema.$ref);
    return link;
  }
  const span = make("span");
  const join = (schemas, separator) => schemas.forEach((each, at) => {
    if (at) span.append(separator);
    span.append(typeOf(each));
  });
  if (schema.anyOf) { join(schema.anyOf, " or "); return span; }
  if (schema.const !== undefined) { span.textContent = schema.const; return span; }
  if (schema.enum) { span.textContent = schema.enum.join(", "); return span; }
  if (schema.type === "array") { span.append("list of ", typeOf(schema.items)); return span; }
  if (schema.type === "object" && typeof schema.additionalProperties === "object") {
    span.append("map to ", typeOf(schema.additionalProperties));
    return span;
  }
  const limits = [];
  if (schema.format) limits.push(schema.format);
  const { minLength: shortest = 0, maxLength: longest } = schema;
  if (shortest === longest) limits.push(longest + " characters");
  else if (shortest && longest) limits.push(shortest + " to " + longest + " characters");
  else if (longest) limits.push("at most " + longest + " characters");
  else if (shortest) limits.push("at least " + shortest + " characters");
  if (schema.minimum !== undefined) limits.push("at least " + schema.minimum);
  if (schema.maximum < Number.MAX_SAFE_INTEGER) limits.push("at most " + schema.maximum);
  span.textContent = (schema.type || "any") + (limits.length ? " (" + limits.join(", ") + ")" : "");
  return span;
}

function table(rows) {
  const element = make("table");
  for (const cells of rows) {
    const row = element.insertRow();
    for (const cell of cells) row.insertCell().append(cell);
  }
  return element;
}

const said = (schema) => schema.description || (schema.anyOf || []).map((each) => each.description).find(Boolean) || "";

function prose(text, name) {
  const paragraph = make("p", undefined, name);
  text.split("`").forEach((part, at) => paragraph.append(at % 2 ? make("code", part) : part));
  return paragraph;
}

const SAMPLES = {  // where the schema alone would make an example that nobody would send
  name: "Ann Lee", customerName: "Ann Lee", newName: "Ann Lee", email: "ann@example.com", newEmail: "ann@example.com",
  street: "Marktplatz 1", city: "Bonn", zipCode: "53111", country: "DE", language: "en-US", currency: "USD", amount: "129.90",
  reason: "asked by phone", last4: "4242", provider: "Visa", expiry: "2029-05", birthDate: "1990-05-17", phone: "+14155552671",
  newPhone: "+14155552671", customerId: "ann", subject: "ann", commandId: "c-1", orderId: "o-1", paymentId: "p-1",
  redemptionId: "r-1", eventId: "e-1", causationid: "o-1", correlationid: "o-1", sequence: "17", rulesVersion: "1",
  id: "0fd6dc91-d85c-51eb-b0e0-b8dd18795ff8", addressId: "0fd6dc91-d85c-51eb-b0e0-b8dd18795ff8",
  paymentMethodId: "0fd6dc91-d85c-51eb-b0e0-b8dd18795ff8", windowStart: "2025-11-25", windowEnd: "2026-11-24",
};

function example(schema, schemas, name = "", depth = 0) {
  if (!schema || depth > 8) return null;
  if (schema.const !== undefined) return schema.const;
  if (schema.$ref) return example(schemas[nameOf(schema.$ref)], schemas, name, depth + 1);
  if (schema.anyOf) return example(schema.anyOf[0], schemas, name, depth + 1);
  if (schema.enum) return schema.enum[0];
  if (schema.type === "array") return [example(schema.items, schemas, name, depth + 1)];
  if (schema.type === "object") {
    const fields = Object.entries(schema.properties || {});
    const needed = fields.filter(([field]) => (schema.required || []).includes(field));
    return Object.fromEntries((needed.length ? needed : fields)
      .map(([field, inner]) => [field, example(inner, schemas, field, depth + 1)]));
  }
  if (schema.type === "boolean") return false;
  if (schema.type === "integer") return schema.minimum ?? 1;
  if (name in SAMPLES) return SAMPLES[name];
  if (schema.examples) return schema.examples[0];
  if (schema.pattern?.startsWith("^\\d{4}") || schema.format === "date-time" || /(On|At|time)$/.test(name))
    return "2026-11-24T10:15:30.000Z";
  return "text";
}

function showSchema(name, schema, sample) {
  const box = make("details");
  box.id = "schema-" + name;
  const head = make("summary");
  head.append(make("code", name), make("span", schema.description || "", "soft"));
  const body = make("div");
  if (schema.properties) body.append(table(Object.entries(schema.properties).map(([field, inner]) =>
    [make("code", field), typeOf(inner), (schema.required || []).includes(field) ? "required" : "", prose(said(inner))])));
  else body.append(make("p")), body.lastChild.append(typeOf(schema));
  if (sample) body.append(make("h3", "Example"), make("pre", JSON.stringify(sample, null, 2)));
  box.append(head, body);
  return box;
}

function showChannel(name, channel, description) {
  const operations = Object.values(description.operations);
  const used = operations.find((each) => nameOf(each.channel.$ref) === name);
  const answers = operations.some((each) => each.reply && nameOf(each.reply.channel.$ref) === name);
  const box = make("details");
  box.id = "topic-" + name;
  const head = make("summary");
  const into = used && used.action === "receive";
  head.append(make("span", into ? "IN" : "OUT", "way " + (into ? "in" : "out")), make("code", channel.address),
    make("span", answers ? "The result of each command." : used.description, "soft"));
  const body = make("div");
  body.append(make("p", channel.description, "soft"), make("h3", "Messages"));
  body.append(table(Object.values(channel.messages).map((each) => {
    const message = description.components.messages[nameOf(each.$ref)];
    return [message.payload ? typeOf(message.payload) : message.name, message.contentType, message.summary || ""];
  })));
  box.append(head, body);
  return box;
}

function section(content, title, ...shown) {
  const element = make("section");
  element.id = title.toLowerCase().replaceAll(" ", "-");
  element.append(make("h2", title), ...shown);
  content.append(element);
  const link = make("a", title);
  link.href = "#" + element.id;
  document.getElementById("find").before(link);
}

function find() {
  const words = document.getElementById("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const each of document.querySelectorAll("section")) {
    const boxes = [...each.querySelectorAll("details")];
    for (const box of boxes) {
      const text = box.firstChild.textContent.toLowerCase();
      box.hidden = !words.every((word) => text.includes(word));
    }
    each.hidden = boxes.every((box) => box.hidden);
  }
}

function openTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.hidden) { document.getElementById("find").value = ""; find(); }
  target.open = true;
  target.scrollIntoView();
}

async function load() {
  const description = await (await fetch("../asyncapi.json")).json();
  const { schemas, messages } = description.components;
  document.getElementById("title").textContent = description.info.title + " " + description.info.version;
  const source = make("a", "asyncapi.json");
  source.href = "../asyncapi.json";
  const about = document.getElementById("about");
  about.replaceChildren(description.info.description + " Generated from ", source, ".");
  const content = document.getElementById("content");
  section(content, "Topics",
    ...Object.entries(description.channels).map(([name, channel]) => showChannel(name, channel, description)));
  section(content, "Messages", ...Object.entries(schemas).sort().map(([name, schema]) =>
    showSchema(name, schema, name in messages && example(schema, schemas))));
  document.getElementById("find").addEventListener("input", find);
  window.addEventListener("hashchange", openTarget);
  openTarget();
}
load().catch(() => { document.getElementById("about").textContent = "The description could not be loaded."; });
