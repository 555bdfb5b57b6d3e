-- Find charges whose amount differs from the catalog's prices for their tokens, rated again here, in the engine. This
-- is a second implementation of `rating.rate`, and a test proves that both agree. A version that is not in the catalog
-- (its place is 0), and a used unit without a price (-1), yield no amount. Each version has one place for its own
-- prices and one after it for each tier, whose bounds its prompt may exceed. The sums at the end cover all such
-- charges, listed or not.
WITH
    indexOf({partitions:Array(UInt16)}, partition) AS place,
    indexOf({price_versions:Array(String)}, price_version) AS version,
    input_tokens + cached_input_tokens + cache_write_tokens + audio_input_tokens + image_input_tokens
        + cache_write_1h_tokens + cached_audio_input_tokens + cached_image_input_tokens AS prompt,
    {places:Array(UInt32)}[version] + arrayCount(bound -> prompt > bound, {bounds:Array(Array(UInt64))}[version]) AS price,
    indexOf({plan_versions:Array(String)}, plan_version) AS plan,
    toInt256(input_tokens) * {input:Array(Int64)}[price]
        + toInt256(cached_input_tokens) * {cached_input:Array(Int64)}[price]
        + toInt256(cache_write_tokens) * {cache_write:Array(Int64)}[price]
        + toInt256(audio_input_tokens) * {audio_input:Array(Int64)}[price]
        + toInt256(image_input_tokens) * {image_input:Array(Int64)}[price]
        + toInt256(output_tokens) * {output:Array(Int64)}[price]
        + toInt256(reasoning_tokens) * {reasoning:Array(Int64)}[price]
        + toInt256(audio_output_tokens) * {audio_output:Array(Int64)}[price]
        + toInt256(cache_write_1h_tokens) * {cache_write_1h:Array(Int64)}[price]
        + toInt256(cached_audio_input_tokens) * {cached_audio_input:Array(Int64)}[price]
        + toInt256(cached_image_input_tokens) * {cached_image_input:Array(Int64)}[price]
        + toInt256(image_output_tokens) * {image_output:Array(Int64)}[price]
        + toInt256(images) * greatest({images:Array(Int64)}[price], 0)
        + toInt256(audio_seconds) * greatest({audio_seconds:Array(Int64)}[price], 0)
        + toInt256(characters) * greatest({characters:Array(Int64)}[price], 0)
        + toInt256(searches) * greatest({searches:Array(Int64)}[price], 0)
        + toInt256({request_nano:Array(Int64)}[price]) * 1000000 AS millionths,
    intDiv(2 * millionths * {multipliers:Array(Int64)}[plan] + 10000000000, 20000000000) AS rated,
    price > 0
        AND plan > 0
        AND NOT (images > 0 AND {images:Array(Int64)}[price] < 0)
        AND NOT (audio_seconds > 0 AND {audio_seconds:Array(Int64)}[price] < 0)
        AND NOT (characters > 0 AND {characters:Array(Int64)}[price] < 0)
        AND NOT (searches > 0 AND {searches:Array(Int64)}[price] < 0) AS is_known
SELECT
    partition,
    offset,
    request_id,
    account_id,
    amount_nano AS charged_nano,
    toInt64(rated) AS rated_nano,
    price_version,
    plan_version,
    is_known,
    count() OVER () AS found,
    sum(charged_nano - rated_nano) OVER () AS difference_nano
FROM charges
WHERE
    topic = {topic:String}
    AND kind = 'charge'
    AND place > 0
    AND offset >= {starts:Array(UInt64)}[place]
    AND offset < {ends:Array(UInt64)}[place]
    AND (NOT is_known OR amount_nano != rated)
ORDER BY partition, offset
LIMIT {limit:UInt32}
