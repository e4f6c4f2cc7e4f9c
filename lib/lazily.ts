/**
 * Packages that only a part of the library needs, loaded when that part first runs: importing the library must cost a training nothing
 * for charts, TIFF files or downloads.
 */
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

/** A function that answers the package; its first call loads it. */
export function lazily<Package>(name: string): () => Package {
  let loaded: Package | undefined;
  return () => {
    loaded ??= require(name) as Package;
    return loaded;
  };
}
