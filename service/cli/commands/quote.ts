import type { Command } from "commander";
import type { Surroundings } from "../surroundings.ts";
export function addQuote(_program: Command, _around: Surroundings): void {}
