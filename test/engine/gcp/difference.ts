/** Which properties differ between two sets of inputs, by path, as a provider reports it to the engine. */
import { isRecord, isWrapped, unwrapped } from "./wire.ts";

export interface Difference {
  /** `template.containers[0].envs[3].value` */
  path: string;
  kind: "add" | "delete" | "update";
}

export function differences(before: unknown, after: unknown, path = ""): Difference[] {
  if (isWrapped(before) || isWrapped(after)) return differences(unwrapped(before), unwrapped(after), path);
  if (before === undefined || before === null) {
    return after === undefined || after === null ? [] : [{ path, kind: "add" }];
  }
  if (after === undefined || after === null) return [{ path, kind: "delete" }];
  if (Array.isArray(before) && Array.isArray(after)) {
    const length = Math.max(before.length, after.length);
    return Array.from({ length }, (_, index) => differences(before[index], after[index], `${path}[${index}]`)).flat();
  }
  if (isRecord(before) && isRecord(after)) {
    return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((key) =>
      differences(before[key], after[key], member(path, key)),
    );
  }
  return Object.is(before, after) ? [] : [{ path, kind: "update" }];
}

function member(path: string, key: string): string {
  if (!/^[A-Za-z_]\w*$/.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path === "" ? key : `${path}.${key}`;
}
