/** `cellsam schema`: the JSON Schema of the configuration files, for editors. */
import { Argument, Command } from "commander";
import { configSchema, type SchemaName, schemaNames } from "../config/jsonSchema.js";
import { strictJson } from "../files/json.js";

export function schemaCommand(): Command {
  return new Command("schema")
    .description("print the JSON Schema of configuration files, for editors")
    .addArgument(new Argument("[file]", "which file").choices([...schemaNames]).default("experiment"))
    .action((name: SchemaName) => {
      process.stdout.write(`${strictJson(configSchema(name))}\n`);
    });
}
