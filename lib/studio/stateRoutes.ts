/** The routes of the server as a whole, and of its jobs: what it does, and what it is asked to do. */
import { z } from "zod";
import {
  jobParametersSchema,
  jobSchema,
  modelBodySchema,
  predictBodySchema,
  runParametersSchema,
  stateSchema,
  trainBodySchema,
} from "./api.js";
import { type Route, route } from "./routes.js";
import type { Studio } from "./studio.js";

const jobListSchema = z.object({ jobs: z.array(jobSchema) });

export function stateRoutes(studio: Studio): Route[] {
  return [
    route({
      ...{ method: "GET", path: "/api/state", summary: "The server: its model, its jobs, its memory." },
      answer: stateSchema,
      handle: () => studio.state(),
    }),
    route({
      ...{ method: "POST", path: "/api/predict", summary: "Predicts images with the present model, as a job." },
      body: predictBodySchema,
      answer: jobSchema,
      handle: ({ body }) => studio.predict(body),
    }),
    route({
      ...{ method: "POST", path: "/api/train", summary: "Trains on the corrected images, as a job." },
      body: trainBodySchema,
      answer: jobSchema,
      handle: ({ body }) => studio.train(body),
    }),
    route({
      ...{ method: "POST", path: "/api/runs/:run/resume", summary: "Goes on with a training that was stopped, as a job." },
      params: runParametersSchema,
      answer: jobSchema,
      handle: ({ params: { run } }) => studio.resume(run),
    }),
    route({
      ...{ method: "POST", path: "/api/model", summary: "Takes the model of a run, or the default one; answers the state." },
      body: modelBodySchema,
      answer: stateSchema,
      handle: async ({ body: { run } }) => {
        await studio.useModel(run);
        return studio.state();
      },
    }),
    route({
      ...{ method: "GET", path: "/api/jobs", summary: "The jobs that wait, run, and ended last." },
      answer: jobListSchema,
      handle: async () => ({ jobs: studio.jobs.list() }),
    }),
    route({
      ...{ method: "POST", path: "/api/jobs/:job/cancel", summary: "Stops a job; a training can be resumed." },
      params: jobParametersSchema,
      answer: jobSchema,
      handle: async ({ params: { job } }) => studio.jobs.cancel(job),
    }),
  ];
}
