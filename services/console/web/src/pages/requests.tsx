// Single requests, the newest first.
import { useEffect, useState } from "preact/hooks";
import { get, withQuery } from "../api";
import { count, duration, formatDateTime, money } from "../format";
import { namesOf } from "../key_names";
import { explain, useLoad } from "../load";
import { Card, type Column, Empty, Field, Notice, Page, Select, Show, Table } from "../parts";
import { findRange, RANGES } from "../ranges";
import { setQuery } from "../router";
import type { KeyPage, Request, RequestPage } from "../types";
import { Status } from "./overview";

const PAGE = 50;
// The longest range that can be exported.
const MOST_DAYS_MS = 92 * 86_400_000;
const STATUSES = [
  ["", "all"],
  ["2xx", "answered"],
  ["4xx", "refused (4xx)"],
  ["5xx", "failed (5xx)"],
] as const;

export function Requests({ place }: { place: URL }) {
  const asked = place.searchParams;
  const range = findRange(asked.get("range"));
  const filters = { model: asked.get("model"), api_key: asked.get("api_key"), status_class: asked.get("status") };
  const start = range.start(new Date()).toISOString();
  const inputs = [range.id, filters.model, filters.api_key, filters.status_class];

  const keys = useLoad((signal) => get<KeyPage>("accounts/v1/keys", { limit: 1000 }, signal), []);
  const first = useLoad(
    (signal) => get<RequestPage>("analytics/v1/requests", { start, limit: PAGE, ...filters }, signal),
    inputs,
  );
  const earliest = new Date(Math.max(Date.parse(start), Date.now() - MOST_DAYS_MS)).toISOString();
  const exported = withQuery("/api/analytics/v1/requests/export", { format: "csv", start: earliest, ...filters });

  return (
    <Page
      title="Requests"
      actions={
        <a class="button" href={exported} download>
          Export as CSV
        </a>
      }
    >
      <Card>
        <div class="choices filters">
          <Select
            label="Range"
            value={range.id}
            onValue={(id) => setQuery({ range: id })}
            options={RANGES.map(({ id, label }) => [id, label])}
          />
          <ModelFilter model={filters.model ?? ""} />
          <Select
            label="API key"
            value={filters.api_key ?? ""}
            onValue={(id) => setQuery({ api_key: id })}
            options={[
              ["", "all"],
              ...(keys.data?.keys ?? []).map(({ id, name, hint }) => [id, `${name} (${hint})`] as const),
            ]}
          />
          <Select
            label="Status"
            value={filters.status_class ?? ""}
            onValue={(status) => setQuery({ status })}
            options={STATUSES}
          />
          <button type="button" onClick={first.reload}>
            Look again
          </button>
        </div>
        <Show of={first}>
          {(page) =>
            page.data.length === 0 ? (
              <Empty>No requests in {range.label} that match.</Empty>
            ) : (
              <Pages
                key={page.data[0]?.id}
                first={page}
                keys={keys.data}
                parameters={{ start, limit: PAGE, ...filters }}
              />
            )
          }
        </Show>
      </Card>
    </Page>
  );
}

function ModelFilter({ model }: { model: string }) {
  const [typed, setTyped] = useState(model);
  useEffect(() => setTyped(model), [model]);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        setQuery({ model: typed.trim() });
      }}
      onFocusOut={() => setQuery({ model: typed.trim() })}
    >
      <Field label="Model" placeholder="all" value={typed} onValue={setTyped} />
    </form>
  );
}

interface PagesProps {
  first: RequestPage;
  keys: KeyPage | null;
  parameters: Record<string, string | number | null>;
}

function Pages({ first, keys, parameters }: PagesProps) {
  const [more, setMore] = useState<Request[]>([]);
  const [cursor, setCursor] = useState(first.next_cursor);
  const [error, setError] = useState<string | null>(null);
  const names = namesOf(keys?.keys ?? []);
  const next = async () => {
    setError(null);
    try {
      const page = await get<RequestPage>("analytics/v1/requests", { ...parameters, cursor });
      setMore((before) => [...before, ...page.data]);
      setCursor(page.next_cursor);
    } catch (problem) {
      setError(explain(problem));
    }
  };
  return (
    <>
      <Table caption="Requests" columns={columns(names)} rows={[...first.data, ...more]} id={(row) => row.id} />
      {error && <Notice kind="error">{error}</Notice>}
      {cursor !== null && (
        <button type="button" onClick={next}>
          Show more
        </button>
      )}
    </>
  );
}

function columns(names: ReadonlyMap<string, string>): Column<Request>[] {
  return [
    { head: "Time", wraps: true, cell: (row) => <a href={`/requests/${row.id}`}>{formatDateTime(row.time)}</a> },
    { head: "Model", cell: (row) => <span class="name">{row.model}</span> },
    {
      head: "API key",
      cell: (row) => <span class="name">{names.get(row.api_key.id) ?? row.api_key.name ?? row.api_key.id}</span>,
    },
    { head: "Status", cell: (row) => <Status status={row.status} /> },
    { head: "Input", numeric: true, cell: (row) => count(row.input_tokens) },
    { head: "Output", numeric: true, cell: (row) => count(row.output_tokens) },
    { head: "Cost", numeric: true, cell: (row) => money(row.cost_nano) },
    { head: "Took", numeric: true, cell: (row) => duration(row.latency_ms) },
  ];
}
