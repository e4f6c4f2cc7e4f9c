/** The documentation of the routes, made of the schemas that check them: OpenAPI 3.1, whose schemas are JSON Schema. */
import { z } from "zod";
import { packageVersion } from "../version.js";
import { errorSchema, eventSchemas } from "./api.js";
import type { Route } from "./routes.js";

type Json = Record<string, unknown>;

const failures: Record<number, string> = {
  400: "The request is wrong; `message` says what to do.",
  401: "Not signed in.",
  403: "Another host or origin.",
  404: "There is no such thing.",
  409: "Something changed meanwhile, or is taken; after an edit `detail.revision` is the present revision.",
};

export function openApi(routes: readonly Route[]): Json {
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "cellsam studio",
      version: packageVersion,
      description:
        "Coordinates are pixels of the full image; the centre of the first one is (0.5, 0.5). Masks are run lengths, row by row " +
        "within their bounds, the first run of zeros.",
    },
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: {
        token: { type: "http", scheme: "bearer", description: "The token in the address that studio prints." },
      },
      schemas: {
        Error: schemaOf(errorSchema, "output"),
        ...Object.fromEntries(
          Object.entries(eventSchemas).map(([name, schema]) => [`event_${name}`, schemaOf(schema, "output")]),
        ),
      },
    },
  };
}

function operation({ path, method, summary, params, query, body, answer }: Route): Json {
  const media = typeof answer === "string" ? { [answer]: {} } : { "application/json": { schema: schemaOf(answer, "output") } };
  const error = { "application/json": { schema: { $ref: "#/components/schemas/Error" } } };
  const failed = Object.entries(failures).map(([code, description]) => [code, { description, content: error }]);
  const parameters = [...parametersOf(params, "path"), ...parametersOf(query, "query")];
  return {
    summary,
    operationId: `${method.toLowerCase()}${path.replace(/\W+(\w?)/g, (_, letter: string) => letter.toUpperCase())}`,
    ...(parameters.length > 0 && { parameters }),
    ...(body && { requestBody: { required: true, content: { "application/json": { schema: schemaOf(body, "input") } } } }),
    responses: { 200: { description: "Done.", content: media }, ...Object.fromEntries(failed) },
  };
}

function parametersOf(schema: z.ZodType | null, place: "path" | "query"): Json[] {
  if (!schema) return [];
  const { properties = {}, required = [] } = schemaOf(schema, "input") as { properties?: Json; required?: string[] };
  return Object.entries(properties).map(([name, own]) => ({
    name,
    in: place,
    required: place === "path" || required.includes(name),
    schema: own,
  }));
}

function schemaOf(schema: z.ZodType, io: "input" | "output"): Json {
  const { $schema: _, ...own } = z.toJSONSchema(schema, { io, unrepresentable: "any" }) as Json;
  return own;
}
