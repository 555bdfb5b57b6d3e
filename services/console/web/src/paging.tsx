// Lists that load page by page.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { type Loaded, useLoad } from "./load";
import { type Column, Empty, Notice, Show, Table } from "./parts";
import { useSubmit } from "./submit";

export interface PageOf<T> {
  rows: T[];
  /** The cursor of the next page, or null on the last page. */
  next: string | null;
}

export interface Paged<T> extends Loaded<T[]> {
  hasMore: boolean;
  isLoadingMore: boolean;
  moreError: string | null;
  more: () => void;
}

/** Loads the first page as `useLoad` does, and the next one whenever `more` is called. */
export function usePages<T>(
  load: (cursor: string | null, signal?: AbortSignal) => Promise<PageOf<T>>,
  inputs: readonly unknown[],
): Paged<T> {
  const first = useLoad((signal) => load(null, signal), inputs);
  const [later, setLater] = useState<(PageOf<T> & { of: PageOf<T> }) | null>(null);
  const submit = useSubmit();

  // Later pages of a first page that has been reloaded since are discarded.
  const known = later !== null && later.of === first.data ? later : null;
  const next = known === null ? (first.data?.next ?? null) : known.next;
  const more = submit.run(async () => {
    if (first.data === null || next === null) return;
    const page = await load(next);
    setLater({ of: first.data, rows: [...(known?.rows ?? []), ...page.rows], next: page.next });
  });
  return {
    data: first.data && [...first.data.rows, ...(known?.rows ?? [])],
    error: first.error,
    reload: first.reload,
    hasMore: next !== null,
    isLoadingMore: submit.isRunning,
    moreError: submit.error,
    more: () => more(),
  };
}

export function PagedTable<T>(props: {
  of: Paged<T>;
  caption: string;
  columns: Column<T>[];
  id: (row: T) => string;
  /** The text for an empty list. */
  children: ComponentChildren;
}) {
  const { of } = props;
  return (
    <Show of={of}>
      {(rows) =>
        rows.length === 0 ? (
          <Empty>{props.children}</Empty>
        ) : (
          <>
            <Table caption={props.caption} columns={props.columns} rows={rows} id={props.id} />
            {of.moreError && <Notice kind="error">{of.moreError}</Notice>}
            {of.hasMore && (
              <button type="button" onClick={of.more} disabled={of.isLoadingMore}>
                {of.isLoadingMore ? "Loading…" : "Show more"}
              </button>
            )}
          </>
        )
      }
    </Show>
  );
}
