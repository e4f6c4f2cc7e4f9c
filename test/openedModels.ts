/** The models that this process opens with the real engine, as sessions. */
import { createRequire } from "node:module";
import { packageFolder } from "../lib/version.js";

export interface OpenedModel {
  kind: string;
  device?: string;
  /** The engine that was named for it. */
  engine: string | undefined;
}
interface Binding {
  Session: new () => { open(options: Omit<OpenedModel, "engine">): unknown };
}

export const openedModels: OpenedModel[] = [];

const binding = builtBinding();
if (binding) {
  binding.Session = class extends binding.Session {
    override open(options: Omit<OpenedModel, "engine">) {
      if (options.kind === "model") openedModels.push({ ...options, engine: process.env.CELLSAM_ENGINE });
      return super.open(options);
    }
  };
}

/** undefined where nothing is built for Node.js, as where sanitizers run the native programs alone. */
function builtBinding(): Binding | undefined {
  const find = createRequire(import.meta.url)("node-gyp-build") as (root: string) => Binding;
  try {
    return find(packageFolder);
  } catch {
    return undefined;
  }
}
