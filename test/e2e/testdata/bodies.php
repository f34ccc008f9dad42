<?php
// Emits in the ways in which PHP can send a body: php bodies.php URL BODY USERID JSON
// USERID and JSON are JSON. Prints status and body of the answer, and on the next line Doit-Error if there is one.
[, $url, $body, $userid, $json] = $argv;
$userid = json_decode($userid, true);
$data = json_decode($json, true);
$fields = ['id' => $userid, 'message' => 'e', 'data' => $data];
$form = http_build_query(['data' => json_encode($data)] + $fields);
$old = fn ($text) => iconv('UTF-8', 'Windows-1251', $text);

function send($url, $body, array $headers = [])
{
    $told = '';
    $curl = curl_init($url);
    curl_setopt_array($curl, [
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_HTTPHEADER => $headers,
        CURLOPT_HEADERFUNCTION => function ($curl, $line) use (&$told) {
            if (stripos($line, 'Doit-Error:') === 0) {
                $told = trim(substr($line, 11));
            }
            return strlen($line);
        },
    ] + ($body === null ? [] : [CURLOPT_POSTFIELDS => $body]));
    $answer = curl_exec($curl);
    return curl_getinfo($curl, CURLINFO_HTTP_CODE) . " $answer\n$told";
}

echo match ($body) {
    // As Laravel's Http::post, which is Guzzle's option json.
    'json' => send("$url/emit", json_encode($fields), ['Content-Type: application/json', 'Accept: application/json']),
    'json-stream' => (function () use ($url, $fields) {
        $answer = file_get_contents("$url/emit", false, stream_context_create(['http' => [
            'method' => 'POST', 'header' => 'Content-Type: application/json; charset=utf-8', 'content' => json_encode($fields),
        ]]));
        return explode(' ', $http_response_header[0])[1] . " $answer\n";
    })(),
    'multipart' => send("$url/emit", ['data' => json_encode($data)] + $fields),
    'multipart-list' => send("$url/emit", ['id[0]' => $userid[0], 'id[1]' => $userid[1], 'message' => 'e', 'data' => json_encode($data)]),
    'gzip' => send("$url/emit", gzencode($form), ['Content-Encoding: gzip']),
    'zlib' => send("$url/emit", gzcompress($form), ['Content-Encoding: deflate']),
    'deflate' => send("$url/emit", gzdeflate($form), ['Content-Encoding: deflate']),
    'br' => send("$url/emit", $form, ['Content-Encoding: br']),
    // What is wrong:
    'json-as-form' => send("$url/emit", json_encode($fields)),
    'text' => send("$url/emit", $form, ['Content-Type: text/plain']),
    'array-as-data' => send("$url/emit", http_build_query($fields)),
    'windows-1251' => send("$url/emit", http_build_query(['data' => '"' . $old($data) . '"'] + $fields)),
    'windows-1251-event' => send("$url/emit", http_build_query(['message' => $old('привет')] + $fields)),
    'windows-1251-multipart' => send("$url/emit", ['data' => '"' . $old($data) . '"'] + $fields),
    'windows-1251-get' => send("$url/emit?" . http_build_query(['id' => $userid, 'message' => 'e', 'text' => $old($data)]), null),
    // As the sentence says.
    'windows-1251-cured' => send("$url/emit", http_build_query(['data' => json_encode(iconv('CP1251', 'UTF-8', $old($data)))] + $fields)),
};
