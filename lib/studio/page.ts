/** The files of the page, read once: an address can mean no other file. */
import { readdirSync, readFileSync } from "node:fs";
import { extname, join, relative, sep } from "node:path";

const types: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".woff2": "font/woff2",
};

/** By their addresses, such as "/page.js". None in a checkout whose page is not built. */
export function pageFiles(folder: string): Map<string, { type: string; body: Buffer }> {
  const files = new Map<string, { type: string; body: Buffer }>();
  for (const entry of entriesOf(folder)) {
    const path = join(entry.parentPath, entry.name);
    const type = types[extname(entry.name)];
    if (entry.isFile() && type)
      files.set(`/${relative(folder, path).split(sep).join("/")}`, { type, body: readFileSync(path) });
  }
  return files;
}

function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true });
  } catch {
    return [];
  }
}

const html = (head: string, body: string) =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><link rel="icon" href="data:,">${head}<title>cellsam studio</title></head><body>${body}</body></html>\n`;

/**
 * Goes on to the page by itself, in place of a redirect: with that a browser that came from another site sends no strict
 * cookie.
 */
export const signedInPage = html('<meta http-equiv="refresh" content="0; url=/">', '<a href="/">cellsam studio</a>');

export const signInPage = html(
  "",
  "<h1>Not signed in</h1><p>Open the address that <code>cellsam studio</code> printed in its terminal, with its token.</p>",
);
