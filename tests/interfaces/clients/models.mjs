// Generates models.ts from asyncapi.json with Modelina, and prints the names of the models.
import modelina from "@asyncapi/modelina";
import { readFileSync, writeFileSync } from "node:fs";

const generator = new modelina.TypeScriptGenerator({
  modelType: "interface",
  enumType: "union",
  mapType: "record",
  rawPropertyNames: true, // as in the JSON; else `type` is renamed
});
const models = await generator.generate(JSON.parse(readFileSync("asyncapi.json", "utf8")));
writeFileSync("models.ts", models.map((model) => `export ${model.result}\n`).join(""));
console.log(JSON.stringify(models.map((model) => model.modelName)));
