import * as pulumi from "@pulumi/pulumi";
import { isLater, known } from "./faults";

/** As `apply`, but a plain value stays plain, so that a preview knows it and can check it. */
export function map<T, R>(input: pulumi.Input<T>, make: (value: pulumi.Unwrap<T>) => R): pulumi.Input<R> {
  const now = known(input);
  return (now.is ? make(now.value as pulumi.Unwrap<T>) : pulumi.output(input).apply(make)) as pulumi.Input<R>;
}

/** The fields of an object that may be an output itself: each is an input of its own. */
export function fieldsOf<T extends object>(input: pulumi.Input<T>, names: readonly (keyof T & string)[]): T {
  if (!isLater(input)) return input as T;
  const all = pulumi.output(input) as pulumi.Output<Record<string, unknown>>;
  return Object.fromEntries(names.map((name) => [name, all.apply((fields) => fields[name])])) as T;
}

/** What is left out stays left out. */
export function optional<T, R>(value: T | undefined, make: (value: T) => R): R | undefined {
  return value === undefined ? undefined : make(value);
}
