/** Where the image is on the screen: a point p of the image is drawn at (x + scale * p) of the canvas, in CSS pixels. */
import type { Bounds } from "../../api.js";

export interface Camera {
  x: number;
  y: number;
  scale: number;
}

export interface Size {
  width: number;
  height: number;
}

/** Largest magnification: screen pixels for one of the image. */
export const MOST_ZOOM = 48;
/** Part of the canvas that a fitted image fills. */
const FILL = 0.96;

/** The whole image in the middle of the canvas. */
export function fitted(image: Size, canvas: Size): Camera {
  const scale = Math.min(MOST_ZOOM, FILL * Math.min(canvas.width / image.width, canvas.height / image.height));
  return { scale, x: (canvas.width - scale * image.width) / 2, y: (canvas.height - scale * image.height) / 2 };
}

/** A point of the image in the middle of the canvas. */
export function centred([x, y]: readonly [number, number], scale: number, canvas: Size): Camera {
  return { scale, x: canvas.width / 2 - scale * x, y: canvas.height / 2 - scale * y };
}

/** The point of the image that is drawn at a point of the canvas. */
export function toImage({ x, y, scale }: Camera, [screenX, screenY]: readonly [number, number]): [number, number] {
  return [(screenX - x) / scale, (screenY - y) / scale];
}

/** Where a point of the image is drawn. */
export function toScreen({ x, y, scale }: Camera, point: readonly [number, number]): [number, number] {
  return [x + scale * point[0], y + scale * point[1]];
}

/** The part of the image that the canvas shows; beside the image where the canvas reaches beyond it. */
export function visible(camera: Camera, canvas: Size): Bounds {
  return [...toImage(camera, [0, 0]), ...toImage(camera, [canvas.width, canvas.height])] as Bounds;
}

/** How far the image must move, in CSS pixels, so that a point of it is at least `margin` inside the canvas. */
export function towards(camera: Camera, point: readonly [number, number], canvas: Size, margin: number): [number, number] {
  const [x, y] = toScreen(camera, point);
  const inside = (at: number, size: number) => Math.max(margin, Math.min(size - margin, at)) - at;
  return [inside(x, canvas.width), inside(y, canvas.height)];
}
