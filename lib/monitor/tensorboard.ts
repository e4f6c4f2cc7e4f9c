/**
 * Event files that TensorBoard reads: scalars by tag and step. Scalars need four protobuf messages (Event, Summary,
 * Summary.Value, SessionLog; tensorflow/core/util/event.proto and framework/summary.proto), which are encoded here.
 */
import { join } from "node:path";
import { AppendedFile, type OnWriteFailure } from "./appendedFile.js";
import { maskedCrc32c } from "./crc32c.js";

enum Wire {
  varint = 0,
  fixed64 = 1,
  bytes = 2,
  fixed32 = 5,
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}

const tagged = (field: number, wire: Wire, value: Buffer) => Buffer.concat([varint(field * 8 + wire), value]);
const integer = (field: number, value: number) => tagged(field, Wire.varint, varint(value));
const message = (field: number, value: Buffer) => tagged(field, Wire.bytes, Buffer.concat([varint(value.length), value]));
const text = (field: number, value: string) => message(field, Buffer.from(value));

function double(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return tagged(field, Wire.fixed64, bytes);
}

function float(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return tagged(field, Wire.fixed32, bytes);
}

/** A TFRecord: length, its CRC, data, its CRC. */
function record(data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(data.length));
  head.writeUInt32LE(maskedCrc32c(head.subarray(0, 8)), 8);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(maskedCrc32c(data));
  return Buffer.concat([head, data, tail]);
}

let files = 0;

/** One run in TensorBoard's sense: a folder with event files. The file is created with the first scalar. */
export class EventWriter {
  readonly folder: string;
  readonly #restartAt: number | undefined;
  readonly #onFailure: OnWriteFailure | undefined;
  #file: AppendedFile | undefined;

  /**
   * From step `restartAt` on TensorBoard ignores earlier files of the folder: a resumed run repeats those steps. `onFailure` is
   * told when the file cannot be written any longer, which never throws.
   */
  constructor(folder: string, options: { restartAt?: number | undefined; onFailure?: OnWriteFailure | undefined } = {}) {
    this.folder = folder;
    this.#restartAt = options.restartAt;
    this.#onFailure = options.onFailure;
  }

  /** Values that are null or not finite are left out. */
  scalars(step: number, values: Readonly<Record<string, number | null | undefined>>, now = Date.now()): void {
    const known = Object.entries(values).filter((entry): entry is [string, number] => Number.isFinite(entry[1]));
    if (known.length === 0) return;
    const summary = Buffer.concat(known.map(([tag, value]) => message(1, Buffer.concat([text(1, tag), float(2, value)]))));
    this.#append(now, [integer(2, step), message(5, summary)]);
  }

  #append(now: number, fields: Buffer[]): void {
    if (!this.#file) {
      files += 1;
      const second = String(Math.floor(now / 1000)).padStart(10, "0");
      const name = `events.out.tfevents.${second}.cellsam.${process.pid}.${files}`;
      this.#file = new AppendedFile(join(this.folder, name), this.#onFailure);
      this.#write(now, [text(3, "brain.Event:2")]);
      if (this.#restartAt !== undefined) this.#write(now, [integer(2, this.#restartAt), message(7, integer(1, 1))]);
    }
    this.#write(now, fields);
  }

  #write(now: number, fields: Buffer[]): void {
    this.#file?.append(record(Buffer.concat([double(1, now / 1000), ...fields])));
  }
}
