/* libpqxx with threads, each with a connection of its own: statements, a pipeline, COPY, notifications. */
#include <condition_variable>
#include <functional>
#include <iostream>
#include <mutex>
#include <pqxx/pqxx>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace
{

constexpr int number_of_threads = 20;

struct receiver : pqxx::notification_receiver {
	explicit receiver(pqxx::connection_base &connection)
	    : pqxx::notification_receiver(connection, "news")
	{
	}
	void operator()(const std::string &payload, int) override
	{
		heard += payload + ' ';
		count++;
	}
	std::string heard;
	int count = 0;
};

void statements(pqxx::connection &connection, std::ostream &out)
{
	for (int query = 0; query < 10; query++) {
		pqxx::work work(connection);
		out << ' '
		    << work.exec_params1("SELECT current_setting('work_mem'), $1::int", query)[0];
		work.commit();
	}
}

void in_pipeline(pqxx::connection &connection, std::ostream &out)
{
	pqxx::work work(connection);
	pqxx::pipeline pipeline(work);
	std::vector<pqxx::pipeline::query_id> queries;

	for (int query = 0; query < 10; query++)
		queries.push_back(pipeline.insert("SELECT " + std::to_string(query)));
	for (auto query : queries)
		out << ' ' << pipeline.retrieve(query)[0][0];
}

void copied(pqxx::connection &connection, std::ostream &out)
{
	pqxx::work work(connection);
	work.exec0("CREATE TEMPORARY TABLE mine (n int) ON COMMIT DROP");
	pqxx::stream_to to(work, "mine");
	for (int n = 0; n < 100; n++)
		to << std::make_tuple(n);
	to.complete();
	pqxx::stream_from from(work, "mine");
	std::tuple<int> row;
	int sum = 0;
	while (from >> row)
		sum += std::get<0>(row);
	from.complete();
	work.commit();
	out << ' ' << sum;
}

void wait_for_everyone()
{
	static std::mutex mutex;
	static std::condition_variable all_here;
	static int here = 0;
	std::unique_lock<std::mutex> lock(mutex);

	if (++here == number_of_threads)
		all_here.notify_all();
	all_here.wait(lock, [] { return here == number_of_threads; });
}

void run(int number, std::string &answer)
{
	std::ostringstream out;
	try {
		pqxx::connection connection;
		wait_for_everyone();
		{
			pqxx::nontransaction work(connection);
			work.exec0("SET work_mem = '" + std::to_string(number + 1) + "MB'");
		}
		statements(connection, out);
		in_pipeline(connection, out);
		copied(connection, out);
		statements(connection, out);
	} catch (const std::exception &error) {
		out << " failed: " << error.what();
	}
	answer = out.str();
}

void notifications()
{
	pqxx::connection listener, sender;
	receiver news(listener);
	std::thread speaker([&sender] {
		for (int i = 0; i < 3; i++) {
			pqxx::nontransaction work(sender);
			work.exec0("NOTIFY news, 'number " + std::to_string(i) + "'");
		}
	});

	while (news.count < 3)
		listener.await_notification(30, 0);
	speaker.join();
	std::cout << news.heard << '\n';
}

} // namespace

int main()
{
	std::vector<std::string> answers(number_of_threads);
	std::vector<std::thread> threads;

	for (int i = 0; i < number_of_threads; i++)
		threads.emplace_back(run, i, std::ref(answers[static_cast<size_t>(i)]));
	for (auto &thread : threads)
		thread.join();
	for (int i = 0; i < number_of_threads; i++)
		std::cout << i << ':' << answers[static_cast<size_t>(i)] << '\n';
	notifications();
	return 0;
}
