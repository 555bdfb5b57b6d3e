// The names of keys, for data that contains only their ids.
import type { Key } from "./types";

/** Names by id. If several keys have the same name, each includes its hint. */
export function namesOf(keys: Key[]): ReadonlyMap<string, string> {
  const named = Map.groupBy(keys, (key) => key.name);
  const isOnly = (key: Key) => named.get(key.name)?.length === 1;
  return new Map(keys.map((key) => [key.id, isOnly(key) ? key.name : `${key.name} (${key.hint})`]));
}
