# ruby-pg with threads, whose every call is asynchronous inside; exceptions that leave libpq by longjmp, from
# notice processors and by timeouts; pipelines; notifications.
require 'pg'
require 'timeout'

NUMBER = 20
QUERIES = 10

answers = Queue.new
threads = NUMBER.times.map do |number|
  Thread.new do
    connection = PG.connect
    connection.exec("SET work_mem = '#{number + 1}MB'")
    QUERIES.times do |query|
      row = connection.async_exec_params("SELECT current_setting('work_mem'), $1::int FROM pg_sleep(0.001)", [query]).values[0]
      answers << [number, row]
    end
    answers << [number, [connection.sync_exec('SHOW work_mem').getvalue(0, 0), 'sync']]
    connection
  end
end
connections = threads.map(&:value)
all = []
all << answers.pop until answers.empty?
all.sort.each { |answer| puts answer.inspect }

# Once: libpq has not taken the message off its buffer when the exception leaves it, and gives it again.
connections.each_with_index do |connection, i|
  seen = 0
  connection.set_notice_processor do |text|
    seen += 1
    raise "on purpose: #{text.lines.first}" if seen == 1
  end
  begin
    connection.exec("DO $$ BEGIN RAISE NOTICE 'first of #{i}'; RAISE NOTICE 'second'; END $$")
  rescue RuntimeError => e
    puts "#{i}: #{e.message}"
  end
  connection.discard_results
  puts "#{i}: #{seen} #{connection.exec('SHOW work_mem').getvalue(0, 0)} #{connection.transaction_status}"
  connection.set_notice_receiver do |result|
    break unless result.error_field(PG::Result::PG_DIAG_MESSAGE_PRIMARY) == 'third'

    throw :out
  end
  catch(:out) { connection.sync_exec("DO $$ BEGIN RAISE NOTICE 'third'; END $$") }
  connection.set_notice_receiver { |_| nil }
  connection.discard_results
  puts "#{i}: #{connection.exec('SHOW work_mem').getvalue(0, 0)}"
end

# The exception comes while the thread waits for the server. One connection only: ruby-pg's cancel asks for the
# pid, and a session that has told it keeps its backend.
last = connections.last
begin
  Timeout.timeout(0.02) { last.exec('SELECT pg_sleep(60)') }
rescue Timeout::Error => e
  puts e.class
end
# The server ignores a cancel that comes before the statement has begun.
last.cancel until last.block(0.5)
last.discard_results
puts last.exec('SHOW work_mem').getvalue(0, 0)

connections.each_with_index do |connection, i|
  connection.enter_pipeline_mode
  3.times { |n| connection.send_query_params('SELECT $1::int + $2::int', [i, n]) }
  connection.pipeline_sync
  values = []
  until (result = connection.get_result)&.result_status == PG::PGRES_PIPELINE_SYNC
    values << result.getvalue(0, 0) if result
  end
  connection.exit_pipeline_mode
  puts "#{i}: #{values}"
end

listener = connections[0]
listener.exec('LISTEN news')
speaker = Thread.new { 3.times { |n| connections[1].exec("NOTIFY news, 'number #{n}'") } }
3.times { listener.wait_for_notify(30) { |channel, _, payload| puts "#{channel} #{payload}" } }
speaker.join
connections.each(&:finish)
