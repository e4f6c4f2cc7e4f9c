/** Studio as a service: a folder of images, or the runs of a folder, at an address. */
import { basename, join, resolve } from "node:path";
import { packageFolder, packageVersion } from "../version.js";
import { type State, stateSchema } from "./api.js";
import { Events } from "./events.js";
import { imageRoutes } from "./imageRoutes.js";
import { Jobs } from "./jobs.js";
import { memoryOf, tellMemory } from "./memory.js";
import { type Route, route } from "./routes.js";
import { runRoutes } from "./runRoutes.js";
import { Runs } from "./runs.js";
import { listen, studioServer } from "./server.js";
import { givenToken, SignIn } from "./signIn.js";
import { stateRoutes } from "./stateRoutes.js";
import { Studio, type StudioOptions } from "./studio.js";

export interface Place {
  host: string;
  /** 0: any that is free. */
  port: number;
}

export interface Served {
  /** What a person opens, with the token. */
  address: string;
  /** What is left out of the folder of images, a sentence each. */
  notes: readonly string[];
  close(): Promise<void>;
}

/** The page's files, beside the compiled server. */
const pageFolder = join(packageFolder, "dist", "studio", "page");

/** Serves a folder of images until `close`. @throws CellsamError as Studio.open, ERR_CONFIG where it cannot listen */
export async function serveStudio(options: StudioOptions, place: Place): Promise<Served> {
  const studio = await Studio.open(options);
  try {
    const routes = [...stateRoutes(studio), ...imageRoutes(studio), ...runRoutes(studio)];
    const served = await serve(routes, studio.events, place, () => studio.trainingPid);
    const begun = studio.begin();
    return {
      address: served.address,
      notes: studio.list.notes,
      close: async () => {
        const closed = studio.close();
        await served.close();
        await Promise.all([closed, begun]);
      },
    };
  } catch (error) {
    await studio.close();
    throw error;
  }
}

/** Serves the runs page of the experiments in a folder, of which `pid` trains one, until `close`. */
export async function serveRuns(folder: string, pid: number, place: Place): Promise<Served> {
  const events = new Events();
  const runs = new Runs(resolve(folder), events);
  const jobs = new Jobs(() => undefined);
  const training = () => (pid === process.pid ? null : pid);
  const state = async (): Promise<State> => ({
    ...{ version: packageVersion, mode: "runs", data: basename(resolve(folder)), out: folder },
    ...{ model: { run: "default", label: "" }, before: null, modelError: null, threads: 0, images: 0, corrected: 0 },
    ...{ presets: [], nextRule: "", splitRule: "", jobs: [] },
    memory: await memoryOf(training()),
  });
  const own = route({
    ...{ method: "GET", path: "/api/state", summary: "The server and its memory." },
    answer: stateSchema,
    handle: state,
  });
  const served = await serve([own, ...runRoutes({ runs, jobs })], events, place, training);
  runs.watch();
  return {
    ...served,
    close: async () => {
      await runs.close();
      events.close();
      await served.close();
    },
  };
}

async function serve(
  routes: readonly Route[],
  events: Events,
  { host, port }: Place,
  training: () => number | null,
): Promise<Served> {
  const signIn = new SignIn(host, givenToken());
  const server = studioServer({ routes, events, signIn, page: pageFolder });
  const address = await listen(server, signIn, host, port);
  const quiet = tellMemory(events, training);
  return {
    address,
    notes: [],
    close: async () => {
      quiet();
      await server.close();
    },
  };
}
