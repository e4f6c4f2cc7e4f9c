/** The part of opentype.js that is used; the package has no types of its own. */
declare module "opentype.js" {
  export interface Font {
    getPath(text: string, x: number, y: number, size: number): { toPathData(digits: number): string };
    getAdvanceWidth(text: string, size: number): number;
  }
  const opentype: { parse(buffer: ArrayBuffer): Font };
  export default opentype;
}
