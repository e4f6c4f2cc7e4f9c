/**
 * The orientation that EXIF and TIFF store beside pixels: viewers and annotation tools turn the picture by it, so masks are drawn
 * on the turned one.
 */

/** Whether it says anything to do. */
export function isTurned(orientation: number | undefined): orientation is number {
  return orientation !== undefined && Number.isInteger(orientation) && orientation >= 2 && orientation <= 8;
}

interface Pixels {
  data: ArrayLike<number>;
  shape: number[];
}

/**
 * The pixels [H,W] or [H,W,C] as viewers show them; 5 to 8 exchange height and width.
 * @param orientation 2 mirrored, 3 turned by 180 degrees, 4 upside down, 5 transposed, 6 turned clockwise, 7 transposed along the
 * other diagonal, 8 turned anticlockwise, to be undone
 */
export function turned<T extends Pixels>(image: T, orientation: number): T {
  const { data, shape } = image;
  const [height = 0, width = 0, channels = 1] = shape;
  const aside = orientation >= 5;
  const [rows, columns] = aside ? [width, height] : [height, width];
  // Of the stored rows and columns, counted from their end.
  const fromBottom = [3, 4, 6, 7].includes(orientation);
  const fromRight = [2, 3, 7, 8].includes(orientation);
  const out = new (data.constructor as new (length: number) => T["data"] & Record<number, number>)(data.length);
  for (let y = 0, to = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const [row, column] = aside ? [x, y] : [y, x];
      const at = ((fromBottom ? height - 1 - row : row) * width + (fromRight ? width - 1 - column : column)) * channels;
      for (let c = 0; c < channels; c++) out[to++] = data[at + c] as number;
    }
  }
  return { ...image, data: out, shape: [rows, columns, ...shape.slice(2)] };
}
