// One request: its usage, its charge and its attempts.
import type { ComponentChildren } from "preact";
import { get } from "../api";
import { count, duration, formatDateTime, money } from "../format";
import { useLoad } from "../load";
import { Card, type Column, Empty, Facts, Page, Show, Table, Tag } from "../parts";
import type { Attempt, CostLine, Generation } from "../types";
import { Status } from "./overview";

export function RequestDetail({ id }: { id: string }) {
  const found = useLoad((signal) => get<Generation>("analytics/v1/generation", { id }, signal), [id]);
  return (
    <Page title="Request" actions={<a href="/requests">All requests</a>}>
      <Show of={found}>
        {(request) => (
          <>
            <Card>
              <About of={request} />
            </Card>
            <div class="columns">
              <Card title="Cost">
                <Cost of={request} />
              </Card>
              <Card title="Attempts">
                {request.attempts.length === 0 ? (
                  <Empty>No provider was called.</Empty>
                ) : (
                  <Table
                    caption="Attempts"
                    columns={ATTEMPTS}
                    rows={request.attempts}
                    id={(attempt) => String(request.attempts.indexOf(attempt))}
                  />
                )}
              </Card>
            </div>
          </>
        )}
      </Show>
    </Page>
  );
}

function About({ of: request }: { of: Generation }) {
  const facts: [string, ComponentChildren][] = [
    ["Id", <code key="id">{request.id}</code>],
    [
      "Model",
      request.model === request.served_model ? request.model : `${request.model}, served by ${request.served_model}`,
    ],
    ["API key", request.api_key.name ?? request.api_key.id],
    ["Endpoint", `${request.endpoint}${request.stream ? ", streamed" : ""}`],
    ["Status", <Status key="status" status={request.status} />],
    [
      "Outcome",
      [request.outcome ?? request.state, request.error_code, request.finish_reason].filter(Boolean).join(", "),
    ],
    ["Started", formatDateTime(request.opened_at)],
    ["Ended", formatDateTime(request.closed_at)],
    ["Duration", `${duration(request.latency_ms)}, first token after ${duration(request.first_token_ms)}`],
    ["Input tokens", `${count(request.input_tokens)}, of which ${count(request.cached_input_tokens)} cached`],
    ["Output tokens", `${count(request.output_tokens)}, of which ${count(request.reasoning_tokens)} reasoning`],
    ["Provider", request.provider],
    ["Client", request.client || "–"],
    ["End user", request.end_user || "–"],
  ];
  return <Facts facts={facts} />;
}

const LINES: Column<CostLine>[] = [
  { head: "Item", cell: (line) => line.item.replaceAll("_", " ") },
  { head: "Quantity", numeric: true, cell: (line) => count(line.quantity) },
  {
    head: "Price per million",
    numeric: true,
    cell: (line) => (line.price_nano === null ? "–" : money(line.price_nano)),
  },
  {
    head: "Amount",
    numeric: true,
    cell: (line) => (line.price_nano === null ? "–" : money(Math.round((line.quantity * line.price_nano) / 1_000_000))),
  },
];

function Cost({ of: request }: { of: Generation }) {
  return (
    <>
      {request.cost_lines.length === 0 ? (
        <Empty>No charges.</Empty>
      ) : (
        <Table caption="Cost" columns={LINES} rows={request.cost_lines} id={(line) => line.item} />
      )}
      <Facts
        facts={[
          ["Fee per request", (request.request_nano ?? 0) > 0 && money(request.request_nano ?? 0)],
          [
            "Plan multiplier",
            request.multiplier_bps !== null &&
              request.multiplier_bps !== 10_000 &&
              `× ${request.multiplier_bps / 10_000}`,
          ],
          [
            "Charged",
            <span key="charged">
              <strong>{money(request.cost_nano)}</strong>{" "}
              {request.estimated && <Tag kind="plain">estimated tokens</Tag>}
            </span>,
          ],
        ]}
      />
    </>
  );
}

const ATTEMPTS: Column<Attempt>[] = [
  { head: "Target", cell: (attempt) => attempt.target },
  {
    head: "Status",
    cell: (attempt) => (attempt.status === null ? <Tag kind="bad">none</Tag> : <Status status={attempt.status} />),
  },
  { head: "Error", cell: (attempt) => attempt.error_code || "–" },
  { head: "Duration", numeric: true, cell: (attempt) => duration(attempt.latency_ms) },
  { head: "Served", cell: (attempt) => (attempt.served ? "yes" : "no") },
];
