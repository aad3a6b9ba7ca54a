SELECT
  {{"{{"}} interval.start {{"}}"}} AS week,
  COUNT(DISTINCT day) AS days,
  SUM(visits) AS visits,
  SUM(ordered) AS ordered
FROM {{"{{"}} ref "daily_doctors" {{"}}"}}
WHERE day >= {{"{{"}} interval.start {{"}}"}} AND day < {{"{{"}} interval.end {{"}}"}}
