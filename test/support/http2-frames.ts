/** Finds where requests and answers begin and end in a connection's bytes of HTTP/2 (RFC 9113, section 4.1). */

export interface Mark {
  /** Offset in the chunk that was fed: this mark is before the byte at it. */
  at: number;
  what: /** the first byte of a frame of headers */ "headers" | /** in the middle of a frame of data */ "data" | "end";
}

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".length;
const HEADER = 9;
const DATA = 0;
const HEADERS = 1;
const END_STREAM = 1;

/** Of one direction of one connection. */
export class FrameScanner {
  #skip: number;
  readonly #header = Buffer.alloc(HEADER);
  #have = 0;
  #frame: { type: number; ends: boolean; half: number; left: number } | null = null;

  /** @param way a client's bytes begin with a preface that is no frame. */
  constructor(way: "requests" | "answers") {
    this.#skip = way === "requests" ? PREFACE : 0;
  }

  /** Chunks as they arrive, cut anywhere. @returns marks in their order. */
  feed(chunk: Buffer): Mark[] {
    const marks: Mark[] = [];
    let at = Math.min(this.#skip, chunk.length);
    this.#skip -= at;
    while (at < chunk.length) at = this.#frame ? this.#payload(chunk, at, marks) : this.#begin(chunk, at, marks);
    return marks;
  }

  #begin(chunk: Buffer, from: number, marks: Mark[]): number {
    const taken = Math.min(HEADER - this.#have, chunk.length - from);
    chunk.copy(this.#header, this.#have, from, from + taken);
    this.#have += taken;
    const at = from + taken;
    if (this.#have < HEADER) return at;
    this.#have = 0;
    const [length, type] = [this.#header.readUIntBE(0, 3), this.#header[3]!];
    const ends = type <= HEADERS && (this.#header[4]! & END_STREAM) !== 0;
    if (type === HEADERS) marks.push({ at: from, what: "headers" });
    if (length > 0) this.#frame = { type, ends, half: length >> 1, left: length };
    else if (ends) marks.push({ at, what: "end" });
    return at;
  }

  #payload(chunk: Buffer, from: number, marks: Mark[]): number {
    const frame = this.#frame!;
    const taken = Math.min(frame.left, chunk.length - from);
    const toHalf = frame.left - frame.half;
    if (frame.type === DATA && toHalf > 0 && toHalf <= taken) marks.push({ at: from + toHalf, what: "data" });
    frame.left -= taken;
    if (frame.left > 0) return from + taken;
    this.#frame = null;
    if (frame.ends) marks.push({ at: from + taken, what: "end" });
    return from + taken;
  }
}
