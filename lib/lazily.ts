/**
 * Work that only a part of the library needs, put off until that part first runs: importing the library must cost a program nothing
 * for schemas, charts, TIFF files or downloads. test/unit/start.test.ts says what an import may load.
 */
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

/** A function that answers what its first call has made. */
export function once<Value>(make: () => Value): () => Value {
  let made: { value: Value } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** A function that answers the package, or the part of Node; its first call loads it. */
export function lazily<Package>(name: string): () => Package {
  return once(() => require(name) as Package);
}
