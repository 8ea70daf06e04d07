import type * as pulumi from "@pulumi/pulumi";
import { type Faults, isLater } from "./faults";
import type { Administrator, KeybrakeProxyArgs, ProxyVendor } from "./proxy-args";

/** The arguments with their lists known: what is made depends on how many there are, and on the vendors' ids. */
export interface PlainProxyArgs extends KeybrakeProxyArgs {
  vendors: ProxyVendor[];
  administrators?: Administrator[];
}

/**
 * Elements are inputs in the type alone: of plain ones whose fields are inputs, Pulumi's generator makes a Go SDK that does not
 * compile (3.259, seen 2026-11).
 */
export function plainProxyArgs(faults: Faults, args: KeybrakeProxyArgs): PlainProxyArgs {
  const { vendors, administrators, ...others } = args;
  const plain: PlainProxyArgs = { ...others, vendors: plainElements(faults, "vendors", vendors, '{ id: "stripe" }') };
  if (administrators !== undefined) {
    const valid = '{ email: "ops@my-project.iam.gserviceaccount.com" }';
    plain.administrators = plainElements(faults, "administrators", administrators, valid);
  }
  faults.stop();
  return plain;
}

function plainElements<T extends object>(faults: Faults, prop: string, list: pulumi.Input<T>[], valid: string): T[] {
  const wrong = "which is known too late to say what is to be made";
  // A program in another language can give all of the list as an output, against its type.
  if (isLater(list)) faults.add(prop, list, wrong, `[${valid}]`);
  else
    for (const [index, each] of list.entries()) if (isLater(each)) faults.add(`${prop}[${index}]`, each, wrong, valid);
  return list as T[];
}
