/** What a route of the server is: where it is, the schemas of what it takes and gives, and what it does. */
import type { z } from "zod";

/** An answer that is no JSON. */
export interface Bytes {
  type: string;
  body: Buffer | string;
  headers?: Record<string, string>;
}

export interface Route {
  method: "GET" | "POST";
  /** With the parameters as in "/api/images/:image". */
  path: string;
  /** For the documentation. */
  summary: string;
  params: z.ZodType | null;
  query: z.ZodType | null;
  body: z.ZodType | null;
  /** The schema of a JSON answer, or the media type of another one. */
  answer: z.ZodType | string;
  handle: (asked: { params: never; query: never; body: never }) => Promise<unknown>;
}

type Output<Schema extends z.ZodType | null | undefined> = Schema extends z.ZodType ? z.output<Schema> : undefined;

type Handler<Params extends z.ZodType | null, Query extends z.ZodType | null, Body extends z.ZodType | null, Answer> = (asked: {
  params: Output<Params>;
  query: Output<Query>;
  body: Output<Body>;
}) => Promise<Answer>;

/** A route whose handler gets what its schemas have checked, and must give what they say. */
export function route<
  Answer extends z.ZodType | string,
  Params extends z.ZodType | null = null,
  Query extends z.ZodType | null = null,
  Body extends z.ZodType | null = null,
>(options: {
  method: Route["method"];
  path: string;
  summary: string;
  params?: Params;
  query?: Query;
  body?: Body;
  answer: Answer;
  handle: Handler<Params, Query, Body, Answer extends z.ZodType ? z.input<Answer> : Bytes>;
}): Route {
  const { params = null, query = null, body = null, ...rest } = options;
  return { ...rest, params, query, body } as Route;
}
