/** The browser in which tests open pages: $CHROMIUM, or one of the system; undefined where there is none. */
import { existsSync } from "node:fs";

const places = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
export const chromium = places.find((path) => path && existsSync(path));
