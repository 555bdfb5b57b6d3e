// Live spend and usage over time, by model and by API key.
import { useMemo } from "preact/hooks";
import { get } from "../api";
import { StackedBars } from "../chart";
import { Select } from "../fields";
import { count, credit, formatClock, money, percent, roundMoney, shortCount, shortMoney } from "../format";
import { namesOf } from "../key_names";
import { type LiveState, useLive, useRefreshTimer } from "../live";
import type { LiveRequest } from "../live_requests";
import { useLoad } from "../load";
import { Card, Code, type Column, Empty, Page, Show, Table, Tag } from "../parts";
import {
  axisLabel,
  bucketLabel,
  buckets,
  findGranularity,
  findRange,
  type Granularity,
  RANGES,
  startOfDay,
  TIME_ZONE,
} from "../ranges";
import { setQuery } from "../router";
import { pythonSnippet } from "../snippets";
import type { Balance, KeyPage, Totals, Usage, UsageGroup } from "../types";

const SHOWN_MODELS = 6;
const MAX_GROUPS = 10_000;

interface Numbers {
  balance: Balance;
  series: Usage;
  groups: Usage;
  today: Usage;
  keyNames: ReadonlyMap<string, string>;
}

async function loadNumbers(
  range: ReturnType<typeof findRange>,
  granularity: Granularity,
  signal: AbortSignal,
): Promise<Numbers> {
  const now = new Date();
  const start = range.start(now).toISOString();
  const usage = (parameters: Record<string, string | number>) =>
    get<Usage>("analytics/v1/usage", { time_zone: TIME_ZONE, ...parameters }, signal);
  // One at a time: an account may run few queries at once, and a person may have the page open twice.
  const sums = async () => ({
    series: await usage({ start, granularity, group_by: "model", top: SHOWN_MODELS, limit: MAX_GROUPS }),
    groups: await usage({ start, group_by: "model,api_key", limit: MAX_GROUPS }),
    today: await usage({ start: startOfDay(now).toISOString(), group_by: "none" }),
  });
  const [found, balance, { keys }] = await Promise.all([
    sums(),
    get<Balance>("balance/v1/balance", {}, signal),
    get<KeyPage>("accounts/v1/keys", { limit: 1000 }, signal),
  ]);
  return { ...found, balance, keyNames: namesOf(keys) };
}

export function Overview({ place, apiUrl }: { place: URL; apiUrl: string }) {
  const range = findRange(place.searchParams.get("range"));
  const granularity = findGranularity(range, place.searchParams.get("by"));
  const numbers = useLoad((signal) => loadNumbers(range, granularity, signal), [range.id, granularity]);
  const live = useLive(useRefreshTimer(numbers.reload));

  const choices = (
    <div class="choices">
      <Select
        label="Range"
        value={range.id}
        onValue={(id) => setQuery({ range: id, by: "" })}
        options={[...RANGES].sort((one, other) => order(one.id) - order(other.id)).map(({ id, label }) => [id, label])}
      />
      <Select
        label="By"
        value={granularity}
        onValue={(by) => setQuery({ by })}
        options={range.granularities.map((one) => [one, one])}
      />
    </div>
  );
  return (
    <Page title="Overview" actions={choices}>
      <Show of={numbers}>
        {(found) => (
          <>
            <Tiles numbers={found} label={range.label} />
            {found.groups.total.requests === 0 && live.requests.length === 0 ? (
              <Start apiUrl={apiUrl} hasKeys={found.keyNames.size > 0} label={range.label} />
            ) : (
              <>
                <Card title="Spend by model">
                  <SpendChart usage={found.series} granularity={granularity} />
                </Card>
                <div class="columns">
                  <Card title="By model">
                    <Sums
                      caption="By model"
                      head="Model"
                      rows={sumBy(found.groups.data, (group) => group.model ?? "")}
                    />
                  </Card>
                  <Card title="By API key">
                    <Sums
                      caption="By API key"
                      head="API key"
                      rows={sumBy(found.groups.data, (group) => group.api_key?.id ?? "")}
                      nameOf={(id) => found.keyNames.get(id) ?? id}
                    />
                  </Card>
                </div>
              </>
            )}
          </>
        )}
      </Show>
      <Feed requests={live.requests} state={live.state} keyNames={numbers.data?.keyNames} />
    </Page>
  );
}

function order(id: string): number {
  return ["1h", "24h", "7d", "30d", "90d", "1y"].indexOf(id);
}

function Tiles({ numbers, label }: { numbers: Numbers; label: string }) {
  const { balance, groups, today } = numbers;
  const total = groups.total;
  return (
    <dl class="tiles">
      <Tile name="Credit left" value={credit(balance.posted_nano)} about={held(balance)} />
      <Tile name="Spent today" value={roundMoney(today.total.cost_nano)} about={requests(today.total.requests)} />
      <Tile name={`Spent in ${label}`} value={roundMoney(total.cost_nano)} />
      <Tile name="Requests" value={shortCount(total.requests)} about={`in ${label}`} />
      <Tile
        name="Tokens"
        value={shortCount(total.total_tokens)}
        about={`${shortCount(total.input_tokens)} in, ${shortCount(total.output_tokens)} out`}
      />
      <Tile name="Errors" value={percent(total.errors, total.requests)} about={requests(total.errors)} />
    </dl>
  );
}

function requests(number: number): string {
  return number === 1 ? "1 request" : `${count(number)} requests`;
}

function held(balance: Balance): string | undefined {
  return balance.held_nano > 0 ? `${money(balance.held_nano)} reserved for requests` : undefined;
}

function Tile({ name, value, about }: { name: string; value: string; about?: string }) {
  return (
    <div class="tile">
      <dt>{name}</dt>
      <dd class="value">{value}</dd>
      {about && <dd class="about">{about}</dd>}
    </div>
  );
}

function SpendChart({ usage, granularity }: { usage: Usage; granularity: Granularity }) {
  const chart = useMemo(() => {
    const times = buckets(new Date(usage.start), new Date(usage.end), granularity);
    const at = new Map(times.map((time, index) => [time.getTime(), index]));
    const series = new Map<string, number[]>();
    for (const group of usage.data) {
      const name = group.other ? "other models" : (group.model ?? "");
      const values = series.get(name) ?? times.map(() => 0);
      const index = at.get(Date.parse(group.time ?? ""));
      if (index !== undefined) values[index] = (values[index] ?? 0) + group.cost_nano;
      series.set(name, values);
    }
    const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
    const isLong = times.length > 48;
    return {
      labels: times.map((time) => bucketLabel(time, granularity)),
      axisLabels: times.map((time) => axisLabel(time, granularity, isLong)),
      series: [...series]
        .map(([name, values]) => ({ name, values }))
        .sort((one, other) => sum(other.values) - sum(one.values)),
    };
  }, [usage, granularity]);
  return <StackedBars title={`Spend by model and ${granularity}`} {...chart} format={money} formatAxis={shortMoney} />;
}

interface Sum extends Pick<Totals, "requests" | "errors" | "input_tokens" | "output_tokens" | "cost_nano"> {
  name: string;
}

function sumBy(groups: UsageGroup[], nameOf: (group: UsageGroup) => string): Sum[] {
  const sums = new Map<string, Sum>();
  for (const group of groups) {
    const name = nameOf(group);
    const sum = sums.get(name) ?? { name, requests: 0, errors: 0, input_tokens: 0, output_tokens: 0, cost_nano: 0 };
    sum.requests += group.requests;
    sum.errors += group.errors;
    sum.input_tokens += group.input_tokens;
    sum.output_tokens += group.output_tokens;
    sum.cost_nano += group.cost_nano;
    sums.set(name, sum);
  }
  return [...sums.values()].sort((one, other) => other.cost_nano - one.cost_nano || other.requests - one.requests);
}

function Sums(props: { caption: string; head: string; rows: Sum[]; nameOf?: (name: string) => string }) {
  const nameOf = props.nameOf ?? ((name: string) => name);
  const columns: Column<Sum>[] = [
    { head: props.head, cell: (row) => <span class="name">{nameOf(row.name) || "–"}</span> },
    { head: "Spend", numeric: true, cell: (row) => money(row.cost_nano) },
    { head: "Requests", numeric: true, cell: (row) => count(row.requests) },
    { head: "Input", numeric: true, cell: (row) => shortCount(row.input_tokens) },
    { head: "Output", numeric: true, cell: (row) => shortCount(row.output_tokens) },
  ];
  return <Table caption={props.caption} columns={columns} rows={props.rows} id={(row) => row.name} />;
}

const STATES: Record<LiveState, string> = { connecting: "Connecting…", live: "Live", reconnecting: "Reconnecting…" };

function Feed(props: { requests: LiveRequest[]; state: LiveState; keyNames: ReadonlyMap<string, string> | undefined }) {
  const columns: Column<LiveRequest>[] = [
    { head: "Time", cell: (row) => <a href={`/requests/${row.id}`}>{formatClock(row.time)}</a> },
    { head: "Model", cell: (row) => <span class="name">{row.model}</span> },
    { head: "API key", cell: (row) => <span class="name">{props.keyNames?.get(row.api_key) ?? row.api_key}</span> },
    { head: "Status", cell: (row) => <Status status={row.status} /> },
    { head: "Tokens", numeric: true, cell: (row) => (row.total_tokens === undefined ? "…" : count(row.total_tokens)) },
    { head: "Cost", numeric: true, cell: (row) => (row.cost_nano === undefined ? "…" : money(row.cost_nano)) },
  ];
  const state = (
    <span class={`live-state ${props.state}`} role="status">
      {STATES[props.state]}
    </span>
  );
  return (
    <Card title="Live requests" actions={state}>
      {props.requests.length === 0 ? (
        <Empty>No requests since this page was opened.</Empty>
      ) : (
        <Table caption="Live requests" columns={columns} rows={props.requests} id={(row) => row.id} />
      )}
    </Card>
  );
}

export function Status({ status }: { status: number | null | undefined }) {
  if (status === null || status === undefined) return <>…</>;
  return <Tag kind={status < 400 ? "good" : "bad"}>{status}</Tag>;
}

function Start({ apiUrl, hasKeys, label }: { apiUrl: string; hasKeys: boolean; label: string }) {
  return (
    <Card title={`No requests in ${label}`}>
      {hasKeys ? (
        <p>Use this base URL and one of your API keys with any OpenAI SDK. Your usage appears here immediately.</p>
      ) : (
        <p>
          <a class="button primary" href="/keys?new=1">
            Create an API key
          </a>{" "}
          and use this base URL with any OpenAI SDK. Your usage appears here immediately.
        </p>
      )}
      <Code text={pythonSnippet(apiUrl, "tg_...")} label="Copy" />
    </Card>
  );
}
