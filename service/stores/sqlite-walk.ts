/**
 * Lists rows newest first out of one index, or out of several merged by the rows' numbers, in steps that are each
 * bounded. Between two steps others commit; rows they add are newer than the walk and not seen by it.
 */
import type { SqlitePort } from "./sqlite-port.ts";
import type { Row, Scan, Source } from "./sqlite-reader.ts";

export interface Walk extends Pick<Scan, "table" | "filter" | "below"> {
  /** A row that several of them have is listed once. */
  sources: readonly Source[];
  limit: number;
  /** Documents read in one step. */
  stepDocs: number;
}

/** Steps of one listing; then it ends with what it found and a cursor. More than there can be sources. */
const MAX_STEPS = 2_000;

interface Lane {
  source: Source;
  /** Found and not yet listed, newest first. */
  found: Row[];
  /** The rest of the lane is below this; `null`: nothing is left. */
  next: number | null;
}

/** @returns documents, and the number to go on below (`null` at the end). */
export async function walkDown(port: SqlitePort, walk: Walk): Promise<{ rows: string[]; next: number | null }> {
  const lanes: Lane[] = walk.sources.map((source) => ({ source, found: [], next: walk.below }));
  const share = Math.min(walk.stepDocs, Math.max(4, Math.ceil(walk.limit / Math.max(1, lanes.length))));
  const rows: string[] = [];
  let last = walk.below;
  let steps = 0;
  for (let lane = newest(lanes); lane; lane = newest(lanes)) {
    const row = lane.found.shift();
    if (!row) {
      if (steps === MAX_STEPS) return { rows, next: bound(lane) + 1 };
      steps += 1;
      await pull(port, walk, lane, share);
    } else if (row[0] !== last) {
      if (rows.length === walk.limit) return { rows, next: last };
      last = row[0];
      rows.push(row[1]);
    }
  }
  return { rows, next: null };
}

async function pull(port: SqlitePort, walk: Walk, lane: Lane, matches: number): Promise<void> {
  const { table, filter } = walk;
  const scanned = await port.ask("scan", { table, filter, source: lane.source, below: lane.next ?? 0, matches });
  lane.found = scanned.rows;
  lane.next = scanned.next;
}

/** The lane whose next row is, or may be, the newest of all. */
function newest(lanes: readonly Lane[]): Lane | null {
  let best: Lane | null = null;
  for (const lane of lanes) {
    if (bound(lane) >= 0 && (best === null || bound(lane) > bound(best))) best = lane;
  }
  return best;
}

function bound(lane: Lane): number {
  return lane.found[0]?.[0] ?? (lane.next === null ? -1 : lane.next - 1);
}
