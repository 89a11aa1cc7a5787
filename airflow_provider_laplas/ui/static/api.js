/** The requests of the page: relative to its own address, with the task that it was opened with. */

const TASK = ["dag_id", "run_id", "task_id", "map_index"];

/** An answer that is no data: its message is a sentence for people. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

// Airflow's own are a word each.
const REFUSALS = {
  401: "You are not signed in, or no longer. Sign in to Airflow, then open this page again.",
  403: "You may not read this: in Airflow, whoever may read the DAG's XComs and task instances may.",
};

/** Return the address of a route, with the task of the page and further parameters. */
export function address(route, parameters = {}) {
  const own = new URLSearchParams(location.search);
  const query = new URLSearchParams();
  for (const name of TASK) if (own.has(name)) query.set(name, own.get(name));
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  return `api/${route}?${query}`;
}

async function sentence(response) {
  try {
    const { detail } = await response.json(); // in any case: what is not read keeps its connection
    if (typeof detail === "string" && detail && !(response.status in REFUSALS)) return detail;
  } catch {
    // A proxy's page, or nothing.
  }
  return REFUSALS[response.status] ?? `Airflow answered with status ${response.status}.`;
}

async function request(url, options) {
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("Airflow's API server cannot be reached.", 0);
  }
  if (!response.ok) throw new ApiError(await sentence(response), response.status);
  return response;
}

/** Return the data of a route. */
export async function get(route, parameters = {}, signal = null) {
  const response = await request(address(route, parameters), { signal });
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("Airflow's answer cannot be read.", response.status);
  }
}

/** Return why a byte of an address cannot be had, null where it can. */
export async function refusal(url) {
  try {
    const response = await request(url, { headers: { Range: "bytes=0-0" } });
    await response.body?.cancel();
    return null;
  } catch (error) {
    return error.message;
  }
}
