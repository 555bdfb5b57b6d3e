// Individual requests, newest first.
import { useEffect, useMemo, useState } from "preact/hooks";
import { get, organizationParameters, withQuery } from "../api";
import { Field, Select } from "../fields";
import { count, duration, formatDateTime, money } from "../format";
import { namesOf } from "../key_names";
import { useLoad } from "../load";
import { PagedTable, usePages } from "../paging";
import { Card, type Column, Page } from "../parts";
import { findRange, RANGES } from "../ranges";
import { setQuery } from "../router";
import type { KeyPage, ProjectList, Request, RequestPage } from "../types";
import { Status } from "./overview";

const PAGE = 50;
// The maximum range of an export.
const MAX_EXPORT_MS = 92 * 86_400_000;
const STATUSES = [
  ["", "all"],
  ["2xx", "successful (2xx)"],
  ["4xx", "client error (4xx)"],
  ["5xx", "server error (5xx)"],
] as const;

export function Requests({ place }: { place: URL }) {
  const asked = place.searchParams;
  const range = findRange(asked.get("range"));
  const filters = {
    model: asked.get("model"),
    api_key: asked.get("api_key"),
    project: asked.get("project"),
    status_class: asked.get("status"),
  };
  const inputs = [range.id, ...Object.values(filters)];
  // All pages of a list need the same start, because a cursor is valid for one query only.
  const start = useMemo(() => range.start(new Date()).toISOString(), inputs);

  const keys = useLoad((signal) => get<KeyPage>("accounts/v1/keys", { limit: 1000 }, signal), []);
  const projects = useLoad((signal) => get<ProjectList>("accounts/v1/projects", {}, signal), []);
  const requests = usePages(async (cursor, signal) => {
    const page = await get<RequestPage>("analytics/v1/requests", { start, limit: PAGE, ...filters, cursor }, signal);
    return { rows: page.data, next: page.next_cursor };
  }, inputs);
  const earliest = new Date(Math.max(Date.parse(start), Date.now() - MAX_EXPORT_MS)).toISOString();
  const exported = withQuery("/api/analytics/v1/requests/export", {
    format: "csv",
    start: earliest,
    ...filters,
    ...organizationParameters(),
  });

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
          {(projects.data?.projects.length ?? 0) > 0 && (
            <Select
              label="Project"
              value={filters.project ?? ""}
              onValue={(project) => setQuery({ project })}
              options={[["", "all"], ...(projects.data?.projects ?? []).map(({ id, name }) => [id, name] as const)]}
            />
          )}
          <Select
            label="Status"
            value={filters.status_class ?? ""}
            onValue={(status) => setQuery({ status })}
            options={STATUSES}
          />
          <button type="button" onClick={requests.reload}>
            Refresh
          </button>
        </div>
        <PagedTable
          of={requests}
          caption="Requests"
          columns={columns(namesOf(keys.data?.keys ?? []))}
          id={(row) => row.id}
        >
          No matching requests in {range.label}.
        </PagedTable>
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
    { head: "Duration", numeric: true, cell: (row) => duration(row.latency_ms) },
  ];
}
