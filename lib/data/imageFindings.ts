/** What the images of a data set say together about their colours and orientation. */

export interface ImageFacts {
  channels: 1 | 3;
  oneColour?: string | undefined;
  /** Turned by its EXIF orientation, with no mask that shows whether it should be. */
  turnedUnasked?: boolean;
}

/** Warnings about images that are read in another way than a simple reader would. */
export function imageFindings(images: readonly ImageFacts[]): string[] {
  return [...inOneColour(images), ...turned(images)];
}

function turned(images: readonly ImageFacts[]): string[] {
  const count = images.filter(({ turnedUnasked }) => turnedUnasked).length;
  if (count === 0) return [];
  return [
    `${count} of ${images.length} images have an EXIF orientation, which is applied: label images lie on the picture as viewers show it`,
  ];
}

/** A grey image in blue is CellSAM's own convention and gives the same pixels as grey. */
function inOneColour(images: readonly ImageFacts[]): string[] {
  const shown = images.filter(({ oneColour }) => oneColour !== undefined && oneColour !== "blue");
  if (shown.length === 0) return [];
  const colours = [...new Set(shown.map(({ oneColour }) => oneColour))].join(", ");
  const keep = "channels: [0, 1, 2] keeps the colours";
  const others = images.some(({ channels }) => channels === 3)
    ? `other images have several colours, so that the channels of all differ: set channels, ${keep}`
    : keep;
  return [
    `${shown.length} of ${images.length} images hold one channel, shown in colour (${colours}), and are read as grey images: ${others}`,
  ];
}
