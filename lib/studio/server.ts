/** The HTTP server: who may ask, how requests are checked and answered. What they mean is in the routes. */
import { isIPv6 } from "node:net";
import { hostname } from "node:os";
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { z } from "zod";
import { CellsamError, failureOf } from "../errors.js";
import { strictJson } from "../files/json.js";
import type { ErrorAnswer } from "./api.js";
import { acceptedEncoding, compressed } from "./compressed.js";
import type { Events } from "./events.js";
import { openApi } from "./openapi.js";
import { pageFiles, signedInPage, signInPage } from "./page.js";
import type { Bytes, Route } from "./routes.js";
import type { SignIn } from "./signIn.js";
import { statusOf } from "./status.js";

/** A mask of an image of 10 000 x 10 000 pixels has a few megabytes of run lengths. */
const bodyLimit = 1 << 24;
/** Within this time a request must have arrived. */
const requestTimeout = 60_000;
/** Pages that may listen to events at the same time. */
const mostListeners = 100;

/** The page loads what the server has and nothing else. Charts and tooltips set styles of their own. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' blob: data:",
  "font-src 'self'",
  "connect-src 'self'",
  "worker-src 'self' blob:",
  "frame-src 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

const headers = {
  "content-security-policy": policy,
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
};

export interface ServerOptions {
  routes: readonly Route[];
  events: Events;
  signIn: SignIn;
  /** Folder of the page's files. */
  page: string;
}

/** The server, which does not listen yet. */
export function studioServer({ routes, events, signIn, page }: ServerOptions): FastifyInstance {
  const server = fastify({
    bodyLimit,
    requestTimeout,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 1000 },
  });
  server.removeContentTypeParser("text/plain");
  server.addHook("onRequest", async (request, reply) => {
    reply.headers(headers);
    guard(403, () => signIn.checkOrigin(request));
    if (pathOf(request) !== "/") guard(401, () => signIn.checkToken(request));
  });
  server.setErrorHandler((error: FastifyError, _request, reply) => sendError(reply, error));
  server.setNotFoundHandler((request, reply) =>
    sendError(reply, new CellsamError("ERR_NOT_FOUND", `there is nothing at ${request.method} ${pathOf(request)}`)),
  );
  addPage(server, page, signIn);
  for (const route of routes) addRoute(server, route);
  const document = openApi(routes);
  server.get("/api/openapi.json", async () => document);
  server.get("/api/events", (_request, reply) => stream(reply, events));
  return server;
}

/** Begins to listen. `port` 0: any that is free. Returns the address to open, with the token. */
export async function listen(server: FastifyInstance, signIn: SignIn, host: string, port: number): Promise<string> {
  try {
    await server.listen({ host, port });
  } catch (cause) {
    const message = `cannot listen on ${host}, port ${port} (${(cause as Error).message}): choose another --port or --host`;
    throw new CellsamError("ERR_CONFIG", message, { cause });
  }
  const own = (server.server.address() as { port: number }).port;
  signIn.listensOn(own);
  const everywhere = host === "0.0.0.0" || host === "::";
  const name = everywhere ? hostname() : isIPv6(host) ? `[${host}]` : host;
  return `http://${name}:${own}/?token=${signIn.token}`;
}

/** An error of `check` is answered with this status. */
function guard(status: number, check: () => void): void {
  try {
    check();
  } catch (error) {
    throw Object.assign(error as Error, { statusCode: status });
  }
}

function pathOf({ url }: FastifyRequest): string {
  return url.split("?")[0] as string;
}

/** The page's files, and the sign-in at its address. */
function addPage(server: FastifyInstance, folder: string, signIn: SignIn): void {
  const files = pageFiles(folder);
  server.get("/", async (request, reply) => {
    reply.type("text/html; charset=utf-8");
    const { token } = request.query as { token?: unknown };
    if (signIn.isToken(token)) return reply.header("set-cookie", signIn.cookie).send(signedInPage);
    try {
      signIn.checkToken(request);
    } catch {
      return reply.code(401).send(signInPage);
    }
    const index = files.get("/index.html");
    return index ? index.body : reply.code(503).send("The page of this installation is not built: npm run compile");
  });
  for (const [path, { type, body }] of files) server.get(path, async (_request, reply) => reply.type(type).send(body));
}

function addRoute(server: FastifyInstance, { method, path, params, query, body, answer, handle }: Route): void {
  server.route({
    method,
    url: path,
    handler: async (request, reply) => {
      const result = await handle({
        params: checked("address", params, request.params),
        query: checked("query", query, request.query),
        body: checked("body", body, request.body),
      });
      if (typeof answer === "string") return sendBytes(request, reply, result as Bytes);
      return sendBytes(request, reply, { type: "application/json; charset=utf-8", body: strictJson(result, 0) });
    },
  });
}

function checked(what: string, schema: z.ZodType | null, value: unknown): never {
  if (!schema) return undefined as never;
  const result = schema.safeParse(value);
  if (result.success) return result.data as never;
  const message = `the ${what} is not as it should be: ${z.prettifyError(result.error)}`;
  throw new CellsamError("ERR_INVALID_ARGUMENT", message, { detail: { issues: result.error.issues } });
}

async function sendBytes(request: FastifyRequest, reply: FastifyReply, { type, body, headers: own = {} }: Bytes) {
  reply.type(type).headers(own);
  const encoding = type.startsWith("image/") ? null : acceptedEncoding(request.headers["accept-encoding"], body.length);
  if (!encoding) return reply.send(body);
  return reply.headers({ "content-encoding": encoding, vary: "accept-encoding" }).send(await compressed(body));
}

function sendError(reply: FastifyReply, error: Error & { statusCode?: number }) {
  const { code, message } = failureOf(error);
  const own = error instanceof CellsamError;
  // What the framework refuses, such as a body that is too large or no JSON, has a status of its own.
  const refused = !own && error.statusCode !== undefined && error.statusCode < 500;
  const answer: ErrorAnswer = {
    error: { code: refused ? "ERR_INVALID_ARGUMENT" : code, message, detail: own ? { ...error.detail } : {} },
  };
  return reply
    .code(error.statusCode ?? statusOf(code))
    .type("application/json; charset=utf-8")
    .send(strictJson(answer, 0));
}

function stream(reply: FastifyReply, events: Events): void {
  if (events.listeners >= mostListeners) {
    sendError(reply, new CellsamError("ERR_STATE", `${mostListeners} pages are listening already: close some`));
    return;
  }
  reply.hijack();
  reply.raw.writeHead(200, { ...headers, "content-type": "text/event-stream", "x-accel-buffering": "no" });
  events.listen(reply.raw);
}
