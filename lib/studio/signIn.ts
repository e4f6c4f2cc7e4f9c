/**
 * Who may talk to the server: a page of the server itself, or a program, that knows the token; and no page of another origin. A
 * name that someone else's name server points to this machine is refused by its Host header.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import { hostname } from "node:os";
import { CellsamError } from "../errors.js";

/** What is looked at of a request. */
export interface Asking {
  headers: Partial<Record<"host" | "origin" | "cookie" | "authorization", string | undefined>>;
}

/** As many as 128 random bits have in the usual notations. */
const leastCharacters = 22;

/**
 * The token that the environment variable CELLSAM_STUDIO_TOKEN sets, so that pages go on after a restart; undefined where it is
 * not set. In an option every user of the machine would see it.
 * @throws CellsamError ERR_CONFIG for one that could be guessed, or cannot stand in an address
 */
export function givenToken({ CELLSAM_STUDIO_TOKEN: token }: NodeJS.ProcessEnv = process.env): string | undefined {
  if (!token) return undefined;
  if (token.length >= leastCharacters && /^[A-Za-z0-9_-]+$/.test(token)) return token;
  const message = `CELLSAM_STUDIO_TOKEN must be ${leastCharacters} or more letters, digits, - and _ that nobody can guess: openssl rand -hex 32`;
  throw new CellsamError("ERR_CONFIG", message);
}

export class SignIn {
  readonly token: string;
  readonly #hosts: ReadonlySet<string>;
  #cookie = "cellsam";

  /** `host` is the address that the server listens on; `token` is 256 random bits by default. */
  constructor(host: string, token: string = randomBytes(32).toString("base64url")) {
    this.token = token;
    this.#hosts = new Set(["localhost", host.toLowerCase(), hostname().toLowerCase()]);
  }

  /** Servers on several ports of one machine share the cookies of a browser, so each has its own. */
  listensOn(port: number): void {
    this.#cookie = `cellsam-${port}`;
  }

  /** @throws CellsamError ERR_SIGN_IN for a request to another host, or from a page of another origin */
  checkOrigin({ headers: { host = "", origin } }: Asking): void {
    const name = hostOf(host);
    if (isIP(name) === 0 && !this.#hosts.has(name)) {
      const message = `this server does not answer for the host ${name || "without a name"}: use localhost or the address that it printed`;
      throw new CellsamError("ERR_SIGN_IN", message);
    }
    if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`)
      throw new CellsamError("ERR_SIGN_IN", "pages of another origin may not use this server");
  }

  /** Whether a text is the token, in the same time for every wrong one. */
  isToken(text: unknown): boolean {
    const hash = (value: string) => createHash("sha256").update(value).digest();
    return typeof text === "string" && timingSafeEqual(hash(text), hash(this.token));
  }

  /** @throws CellsamError ERR_SIGN_IN without the token in a cookie or in the header Authorization */
  checkToken({ headers: { cookie = "", authorization = "" } }: Asking): void {
    const [, bearer] = /^Bearer (.+)$/i.exec(authorization) ?? [];
    if (this.isToken(bearer) || this.isToken(cookies(cookie).get(this.#cookie))) return;
    const message =
      "not signed in: open the address that `cellsam studio` printed, or send its token as Authorization: Bearer TOKEN";
    throw new CellsamError("ERR_SIGN_IN", message);
  }

  /** The header Set-Cookie. No script reads it, and no page of another site sends it. */
  get cookie(): string {
    return `${this.#cookie}=${this.token}; Path=/; HttpOnly; SameSite=Strict`;
  }
}

/** The name or address in a Host header, without the port; empty where it is none. */
function hostOf(header: string): string {
  const [, six, name] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]/\s]+))(?::\d+)?$/i.exec(header) ?? [];
  return (six ?? name ?? "").toLowerCase();
}

function cookies(header: string): Map<string, string> {
  return new Map(
    header.split(";").map((part) => {
      const [name = "", ...value] = part.trim().split("=");
      return [name, value.join("=")] as const;
    }),
  );
}
