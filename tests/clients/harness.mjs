// What each Node client's script is made of, as harness.py is for Python: `await main(name, version, checks)`.

/** Run every check, whatever of it fails; print one line of JSON: null where it went well, else why it did not. */
export async function main(client, version, checks) {
  const results = {};
  for (const [column, check] of Object.entries(checks)) {
    try {
      await check(process.argv[2]);
      results[column] = null;
    } catch (error) {
      console.error(column, error);
      results[column] = `${error.name}: ${error.message}`.slice(0, 300);
    }
  }
  console.log(JSON.stringify({ client, version, results }));
}
