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

const find = createRequire(import.meta.url)("node-gyp-build") as (root: string) => Binding;
const binding = find(packageFolder);

binding.Session = class extends binding.Session {
  override open(options: Omit<OpenedModel, "engine">) {
    if (options.kind === "model") openedModels.push({ ...options, engine: process.env.CELLSAM_ENGINE });
    return super.open(options);
  }
};
