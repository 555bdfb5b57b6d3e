// What keys are called where only their ids are told.
import type { Key } from "./types";

/** By id; where several keys have one name, with what tells them apart. */
export function namesOf(keys: Key[]): ReadonlyMap<string, string> {
  const named = Map.groupBy(keys, (key) => key.name);
  const isOnly = (key: Key) => named.get(key.name)?.length === 1;
  return new Map(keys.map((key) => [key.id, isOnly(key) ? key.name : `${key.name} (${key.hint})`]));
}
