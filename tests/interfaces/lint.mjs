// Holds documents of the worker against the tools of integrators.
//
// Usage: node lint.mjs FOLDER... Each folder has openapi-*.json, asyncapi.json and schemas.json (name → JSON Schema).
// Prints a list with one object for each folder: tool → list of "document: rule: message". What is only information (Spectral's hints) is left out.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import Ajv from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { createConfig, lintFromString } from "@redocly/openapi-core";
import core from "@stoplight/spectral-core";
import parsers from "@stoplight/spectral-parsers";
import rulesets from "@stoplight/spectral-rulesets";

const WARNING = 1;  // Spectral's severities: 0 error, 1 warning, 2 information, 3 hint

async function spectral({ documents, read }) {
  const found = [];
  for (const name of documents) {
    const linter = new core.Spectral();
    linter.setRuleset({ extends: [name.startsWith("openapi") ? rulesets.oas : rulesets.asyncapi] });
    for (const each of await linter.run(new core.Document(read(name), parsers.Json, name)))
      if (each.severity <= WARNING) found.push(`${name}: ${each.code}: ${each.path.join(".")}: ${each.message}`);
  }
  return found;
}

async function redocly({ documents, read }) {
  const found = [];
  const config = await createConfig({ extends: ["recommended"] });
  for (const name of documents)
    for (const each of await lintFromString({ source: read(name), absoluteRef: name, config }))
      found.push(`${name}: ${each.ruleId}: ${each.location[0]?.pointer}: ${each.message}`);
  return found;
}

const strict = () => formats(new Ajv({ strict: true, allErrors: true }));

function ajv({ documents, read }) {
  const found = [];
  const compile = (name, make) => {
    try { make(); } catch (error) { found.push(`${name}: ${error.message}`); }
  };
  for (const [name, schema] of Object.entries(JSON.parse(read("schemas.json"))))
    compile(name, () => strict().compile(schema));
  for (const name of documents) {
    const { schemas } = JSON.parse(read(name)).components;
    const validator = strict().addVocabulary(["components"]).addSchema({ $id: "document", components: { schemas } });
    for (const each of Object.keys(schemas))
      compile(`${name}: ${each}`, () => validator.compile({ $ref: `document#/components/schemas/${each}` }));
  }
  return found;
}

const told = [];
for (const folder of process.argv.slice(2)) {
  const documents = readdirSync(folder).filter((name) => /^(openapi|asyncapi)/.test(name)).sort();
  const held = { documents, read: (name) => readFileSync(join(folder, name), "utf8") };
  told.push({ ajv: ajv(held), redocly: await redocly(held), spectral: await spectral(held) });
}
console.log(JSON.stringify(told));
