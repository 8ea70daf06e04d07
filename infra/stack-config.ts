/** The stack's configuration with its types; what is wrong is one sentence with the command that sets it right. */
import { Config, RunError } from "@pulumi/pulumi";

const config = new Config("keybrake");

export const textOf = (name: string, byDefault: string): string => config.get(name) ?? byDefault;

export function numberOf(name: string, byDefault: number): number {
  const text = config.get(name);
  if (text === undefined) return byDefault;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw wrong(name, text, "a whole number", `pulumi config set ${name} ${byDefault}`);
}

export function yesOrNo(name: string, byDefault: boolean): boolean {
  const text = config.get(name);
  if (text === undefined) return byDefault;
  if (text === "true" || text === "false") return text === "true";
  throw wrong(name, text, "true or false", `pulumi config set ${name} ${byDefault}`);
}

export function listOf(name: string, byDefault: string[], example: string): string[] {
  const text = config.get(name);
  if (text === undefined) return byDefault;
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list) && list.every((each) => typeof each === "string")) return list;
  } catch {
    // Told below.
  }
  throw wrong(name, text, "a list of texts", `pulumi config set --path '${name}[0]' ${example}`);
}

const wrong = (name: string, text: string, what: string, command: string): Error =>
  new RunError(
    `Configuration \`keybrake:${name}\` is "${text.slice(0, 80)}", which is not ${what}; set it by: ${command}`,
  );
