/** The flags that say where a server listens. */

export interface PlaceFlags {
  host: string;
  port: number;
}

export const hostHelp = "address to listen on; another than this machine's own lets in who has the token";
export const portHelp = "port; 0: any that is free";
