/**
 * What every reader of annotations returns: the objects that a file shows, as it shows them. Which of them are cells is decided
 * in objectRules.ts.
 */

/** x, y, x, y, ... of a closed line; the last point need not repeat the first. */
export type Ring = ArrayLike<number>;
/** Rings by the even-odd rule: an outline, then its holes. */
export type Polygon = readonly Ring[];

/** An area: polygons, which are parts of it, or its pixels as [row, from, to, row, from, to, ...], columns from..to-1. */
export type Outline = { polygons: readonly Polygon[] } | { rows: Int32Array };

/** What can be wrong with an object. */
export type Slip =
  /** It has a box and no outline. */
  | "boxOnly"
  /** Its outline cannot be read. */
  | "broken"
  /** Its outline has fewer than 3 points. */
  | "fewPoints"
  /** It is a point or a line. */
  | "noArea"
  /** Its outline has parts, and some of them have fewer than 3 points. */
  | "partLost"
  /** It is a rectangle, which may be meant as a box. */
  | "rectangle"
  /** Numbers are written as text. */
  | "textNumber";

export interface DrawnObject {
  /** Its name in messages, such as "annotation 12". */
  name: string;
  /** Name of its class, where it has one. */
  category?: string;
  /** Number or id of the class in the file. */
  categoryId?: string;
  /** It is neither cell nor background. */
  ignore?: boolean;
  /** The file itself says that this is a region in which there are cells. */
  region?: boolean;
  /** Absent where the object has no outline that can be used; `slips` then says why. */
  outline?: Outline;
  /** Outline of the cell's nucleus, where the file has both. */
  nucleus?: Outline;
  /** x, y, width and height. */
  box?: readonly [number, number, number, number];
  slips?: Slip[];
}

/** An object that may be a cell, with its pixels: [row, from, to, ...], sorted. */
export interface Shape extends DrawnObject {
  rows: Int32Array;
  area: number;
}

/** The objects of one image. */
export interface Drawing {
  objects: DrawnObject[];
  /** [height, width] of the image, where the file says it. */
  size?: readonly [number, number];
  /** Names of classes that the file declares, also those without an object. */
  categories?: readonly string[];
  notes?: string[];
}

/** A file of objects of one image or of several. */
export interface AnnotationFile {
  /** Absent in a file of one image, whose name is that of the file. */
  images?: { fileName: string; height?: number; width?: number }[];
  /** @param item fileName of the image, in a file of several; `size` is [height, width] of the image itself. */
  drawing: (item: string | undefined, size: readonly [number, number] | undefined) => Drawing;
  /** What concerns the file as a whole. */
  notes?: string[];
}
