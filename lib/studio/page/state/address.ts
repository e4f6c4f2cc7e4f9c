/** The page's address after #: `image/3`, `runs`, `runs/NAME`, `compare/A/B`. */
export type Route =
  | { page: "image"; image: number | null }
  | { page: "runs"; run: string | null }
  | { page: "compare"; a: string; b: string };

export function parseRoute(hash: string): Route {
  const [page, ...rest] = hash.replace(/^#/, "").split("/").map(decoded);
  const [first = "", second = ""] = rest;
  if (page === "runs") return { page, run: first || null };
  if (page === "compare" && first && second) return { page, a: first, b: second };
  return { page: "image", image: page === "image" && /^\d+$/.test(first) ? Number(first) : null };
}

export function addressOf(route: Route): string {
  const parts =
    route.page === "image"
      ? ["image", route.image ?? ""]
      : route.page === "runs"
        ? ["runs", route.run ?? ""]
        : ["compare", route.a, route.b];
  return `#${parts
    .filter((part) => part !== "")
    .map(encodeURIComponent)
    .join("/")}`;
}

/** A part of an address that a person may have typed. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
