-- Sums over the pieces of ranges. A partition without a range gets start and end 0, and so no rows.
WITH indexOf({partitions:Array(UInt16)}, partition) AS place
SELECT
    partition,
    {starts:Array(UInt64)}[place] + intDiv(offset - {starts:Array(UInt64)}[place], greatest({steps:Array(UInt64)}[place], 1))
        * {steps:Array(UInt64)}[place] AS start,
    countIf(amount_nano != 0) AS charges,
    sum(amount_nano) AS amounts_nano,
    sum((amount_nano % 65521) * (offset % 65521 + 1)) AS checksum,
    count() AS rows,
    sum(
        input_tokens + cached_input_tokens + cache_write_tokens + audio_input_tokens + image_input_tokens
        + output_tokens + reasoning_tokens + audio_output_tokens + cache_write_1h_tokens + cached_audio_input_tokens
        + cached_image_input_tokens + image_output_tokens + images + audio_seconds + characters + searches
    ) AS tokens
FROM {table:Identifier}
WHERE
    topic = {topic:String}
    AND place > 0
    AND offset >= {starts:Array(UInt64)}[place]
    AND offset < {ends:Array(UInt64)}[place]
GROUP BY partition, start
ORDER BY partition, start
