/**
 * Defers work and packages until they are first needed: importing the library must not cost a program the time to load schemas,
 * charts, TIFF readers or HTTP. test/unit/start.test.ts lists what an import may load.
 */
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

/** A function that calls `make` once and returns its result every time. */
export function once<Value>(make: () => Value): () => Value {
  let made: { value: Value } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** A function that returns a package or a module of Node; its first call loads it. */
export function lazily<Package>(name: string): () => Package {
  return once(() => require(name) as Package);
}
