/** Icons, drawn on 20 x 20 with the colour of the text around them. */
import type { JSX } from "preact";

const paths = {
  select: "M5 3l10 7-4.6.9 2.6 4.6-1.9 1-2.5-4.6L5 15z",
  click: "M10 2.5v3M10 14.5v3M2.5 10h3M14.5 10h3M10 7.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6",
  box: "M4 7V4h3M13 4h3v3M16 13v3h-3M7 16H4v-3M9 4h2M9 16h2M4 9v2M16 9v2",
  brush:
    "M16.5 3.5c-3 1.2-6.3 4.3-8 7.2l1.9 1.9c2.9-1.7 5.6-5.4 6.1-9.1zM7.3 12c-1.8 0-2.2 1.3-2.4 2.5-.1.8-.6 1.5-1.4 1.8 2.6.8 5.4.1 5.6-2.4",
  eraser: "M11.5 4l5 5-7 7.5H6L3.5 13.9zM7.5 8.3l5 5M9.5 16.5h7",
  fill: "M10 3.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M10 8a2 2 0 1 0 0 4 2 2 0 0 0 0-4",
  delete: "M4 6h12M8 6V4h4v2M5.5 6l.8 10.5h7.4L14.5 6M8.5 9v4.5M11.5 9v4.5",
  merge: "M7 6.5a4 4 0 1 0 0 7c1 .9 2 1.2 3 1.2s2-.3 3-1.2a4 4 0 1 0 0-7c-1-.9-2-1.2-3-1.2s-2 .3-3 1.2",
  split: "M8.5 5.2a5 5 0 1 0 0 9.6zM11.5 5.2a5 5 0 1 1 0 9.6zM10 2.5v15",
  undo: "M7.5 4L4 7.5 7.5 11M4.5 7.5H12a4 4 0 0 1 0 8H7",
  redo: "M12.5 4L16 7.5 12.5 11M15.5 7.5H8a4 4 0 0 0 0 8h5",
  plus: "M10 4v12M4 10h12",
  minus: "M4 10h12",
  fit: "M3.5 7.5v-4h4M12.5 3.5h4v4M16.5 12.5v4h-4M7.5 16.5h-4v-4",
  help: "M7.5 7.5a2.5 2.5 0 1 1 3.7 2.2c-.8.5-1.2 1-1.2 2M10 14.5v.3M10 2.5a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15",
  close: "M5 5l10 10M15 5L5 15",
  check: "M4 10.5l4 4 8-9",
} as const;

export function Icon({ name }: { name: keyof typeof paths }): JSX.Element {
  return (
    <svg viewBox="0 0 20 20" class="icon" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}
