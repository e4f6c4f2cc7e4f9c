/** The part of opentype.js that is used; the package has no types of its own. */
declare module "opentype.js" {
  /** One step of an outline, as in SVG: M, L, Q (with x1, y1), C (with x2, y2 too) or Z (without numbers). */
  export interface PathCommand {
    type: string;
    x1?: number;
    y1?: number;
    x2?: number;
    y2?: number;
    x?: number;
    y?: number;
  }
  export interface Font {
    getPath(text: string, x: number, y: number, size: number): { commands: PathCommand[] };
    getAdvanceWidth(text: string, size: number): number;
  }
  const opentype: { parse(buffer: ArrayBuffer): Font };
  export default opentype;
}
