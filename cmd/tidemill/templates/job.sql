-- One SELECT. {{"{{"}} interval.start {{"}}"}} and {{"{{"}} interval.end {{"}}"}} are instants; name every table with ref, so that the job waits for it.
SELECT CAST(scheduled_at AS DATE) AS day, COUNT(*) AS visits
FROM {{"{{"}} ref "mart.visits" {{"}}"}}
WHERE scheduled_at >= {{"{{"}} interval.start {{"}}"}} AND scheduled_at < {{"{{"}} interval.end {{"}}"}}
GROUP BY 1
